// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

struct KeyRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Revoke keys: they are refused from the next request on.",
        discussion: """
            Name them by their ids, by a filter, or one a line on standard input, where a line has an id or the key itself. \
            With --org and no filter that is all of the organization's keys. A filter shows what it finds and asks. Then it is \
            repeated until it finds nothing, so a key that is issued meanwhile is revoked too. What is interrupted says what \
            was done; the same command does the rest.

            EXAMPLES:
              tollgatectl key revoke acme/7h3kq2mzxb
              tollgatectl key revoke --yes acme/7h3kq2mzxb acme/qz5t2mrwkd
              tollgatectl key revoke --where user=ada --reason 'left the company'
              tollgatectl key revoke --org acme --dry-run
              tollgatectl key revoke --stdin --yes < leaked.txt
            """)

    @Argument(help: "As key issue printed it: acme/7h3kq2mzxb.")
    var id: [String] = []
    @Flag(help: "Read ids or keys from standard input, one a line.")
    var stdin = false
    @Option(help: "Keys of this organization: all, or those of --where.", transform: OrganizationID.init(argument:))
    var org: OrganizationID?
    @OptionGroup var conditions: KeyConditions
    @Option(help: "Why, for the audit trail: 1 to 100 characters.", transform: label)
    var reason: String?
    @Flag(help: "Change nothing; list the keys that would be revoked.")
    var dryRun = false
    @Flag(help: "Do not ask before revoking more than one.")
    var yes = false
    @Flag(help: "Print JSON, one object a key: id, revoked (false: it was before); with --dry-run as key show does.")
    var json = false
    @OptionGroup var replicas: ReplicaWait
    @OptionGroup var connection: Connection

    private var isFiltered: Bool { org != nil || !conditions.where.isEmpty }

    func validate() throws {
        let ways = [!id.isEmpty, stdin, isFiltered].count { $0 }
        guard ways == 1 else {
            throw ValidationError(
                ways == 0
                    ? "expected the id of a key, --stdin, --org or --where"
                    : "give ids, --stdin, or --org and --where: one of the three")
        }
        guard !stdin || yes || dryRun else {
            throw ValidationError(
                "--stdin: give --yes, since nobody can be asked there, or --dry-run to see them first")
        }
        _ = try ids
    }

    func run() async throws {
        let ids = try ids
        if ids.count > 1, !yes, !dryRun {
            try Prompt.confirm(
                "Revoke \(ids.count) keys?", doing: "\(ids.count) keys would be revoked",
                otherwise: "nothing was revoked")
        }
        try await connection.withRedis { session in
            let targets = try await targets(ids, session)
            if dryRun { return try await list(targets, session) }
            var revocation = Revocation(session, reason: reason ?? "", isJSON: json)
            if isFiltered, !yes {
                let keys = try await confirmed(targets, session)
                revocation.total = keys.count
                Interruption.watch()
                try await revocation.revoke(keys)
            } else {
                revocation.total = ids.isEmpty ? nil : ids.count
                Interruption.watch()
                try await revocation.revoke(targets)
            }
            // One whose record can't be read was revoked or told of, and is found again and again.
            if isFiltered {
                try await revocation.repeatedly { matching([.active, .notYetValid, .suspended], session) }
            }
            try await finish(revocation, session)
        }
    }

    private func targets(_ ids: [KeyID], _ session: Session) async throws -> KeyTargets {
        if !ids.isEmpty { return .ids(ids[...]) }
        if stdin {
            return .input(InputLines(), headers: try await KeyTermsInForce(session).terms.headers)
        }
        // Says so where there is no such organization.
        if let org { _ = try await session.directory.organization(org) }
        // Of all others nobody gets in.
        return matching([.active, .notYetValid, .suspended, .unreadable], session)
    }

    private func matching(_ statuses: Set<KeyDescription.Status>, _ session: Session) -> KeyTargets {
        var filter = conditions.filter
        filter.statuses = statuses
        return .matching(KeyPages(session.directory, of: org), filter)
    }

    private func finish(_ revocation: Revocation, _ session: Session) async throws {
        let isSeveral = stdin || isFiltered
        if isSeveral, !json, revocation.lost == nil { try Output.line("\(revocation.summary).") }
        if json, revocation.meanwhile > 0 { Output.note("tollgatectl: \(revocation.summary)") }
        if revocation.isAnythingDone { try await replicas.wait(session.directory, isToldInText: !json) }
        if let warning = revocation.warning { Output.note("tollgatectl: \(warning)") }
        if let lost = revocation.lost { throw lost }
        if let failure = revocation.failure { throw failure }
    }

    private var ids: [KeyID] {
        get throws {
            try id.enumerated().map { index, text in try KeyID(argument: text, number: id.count > 1 ? index + 1 : nil) }
        }
    }
}

// MARK: Before anything is done

extension KeyRevoke {
    /// As many as anybody would look through before saying yes.
    private static let mostAsked = 100_000
    private static let shown = 10

    /// What a filter finds, once somebody has said yes to it.
    private func confirmed(
        _ targets: KeyTargets, _ session: Session
    ) async throws -> [(id: KeyID, rotatedFrom: KeyID?)] {
        var targets = targets
        var found: [(id: KeyID, rotatedFrom: KeyID?)] = []
        while let page = try await targets.next(session.directory) {
            for key in page.keys {
                if found.count < Self.shown {
                    let user = key.user.isEmpty ? "" : ", \(key.user)"
                    Output.note("  \(key.id.text)  \("\(key.name)\(user)".printable)")
                }
                found.append((key.id, key.rotatedFrom))
            }
            guard found.count <= Self.mostAsked else {
                throw Failure(
                    .refused,
                    "more than \(Self.mostAsked) keys match; see them with --dry-run, then revoke them with --yes")
            }
        }
        guard !found.isEmpty else {
            Output.note("No key that works matches.")
            return []
        }
        if found.count > Self.shown { Output.note("  and \(found.count - Self.shown) more; --dry-run lists all") }
        let keys = "key".counted(found.count)
        try Prompt.confirm(
            "Revoke \(keys)?", doing: "\(keys) would be revoked", otherwise: "nothing was revoked")
        return found
    }

    private func list(_ targets: KeyTargets, _ session: Session) async throws {
        var targets = targets
        let prefix = try await KeyTermsInForce(session).terms.prefix
        var listing = KeyListing(isJSON: json, isOrdered: true, prefix: prefix)
        var missing = 0
        while let page = try await targets.next(session.directory) {
            missing += page.missing.count
            for text in page.missing { Output.note("tollgatectl: \(text)") }
            for key in page.keys { try listing.append(key) }
        }
        try listing.end(otherwise: "No key that works matches.")
        if missing > 0 { throw ExitCode(Failure.Code.notFound.rawValue) }
    }
}
