// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Limits

struct CheckList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the secrets, the one that keys are issued with first, and how many active keys each has made.",
        discussion: """
            The secrets themselves are not shown.

            EXAMPLES:
              tollgatectl check list
              tollgatectl check list --json
              tollgatectl check list --check-file checks.txt
            """)

    @Flag(
        help:
            "Print JSON, one object a line: id, created_at, issuing, active_keys; id is null for keys of no secret here."
    )
    var json = false
    @OptionGroup var checks: CheckFileOption
    @OptionGroup var connection: Connection

    func run() async throws {
        var listing = Listing(
            [
                .init(heading: "ID", mayShrink: false), .init(heading: "CREATED"), .init(heading: "USE"),
                .init(heading: "ACTIVE KEYS"),
            ], isJSON: json)
        try await connection.withRedis(to: .show) { session in
            let secrets = try await secrets(session)
            var counts = try await session.directory.activeKeysByCheck()
            for (index, secret) in secrets.enumerated() {
                let count = counts.removeValue(forKey: secret.id) ?? 0
                try append(secret.id, secret.createdAt, isIssuing: index == 0, count, to: &listing)
            }
            let others = counts.values.reduce(0, +)
            if others > 0 { try append(nil, nil, isIssuing: false, others, to: &listing) }
            try listing.end(otherwise: "No secrets yet. The first key that is issued makes one.")
        }
    }

    /// Those of the file, where one is named: when one was made it doesn't say.
    private func secrets(_ session: Session) async throws -> [(id: String, createdAt: Int?)] {
        if let secrets = try checks.secretsOfFile(session.configuration) { return secrets.all.map { ($0.id, nil) } }
        if try await KeyTermsInForce(session).terms.hasCheckFile {
            Output.warn(
                "the sidecars' secrets are in a file (keys.check_file), not these; name a copy of it by --check-file")
        }
        return try await session.directory.checkSecrets().map { ($0.secret.id, $0.createdAt) }
    }

    private func append(
        _ id: String?, _ createdAt: Int?, isIssuing: Bool, _ count: Int, to listing: inout Listing
    ) throws {
        let created = createdAt.map(Moment.text)
        try listing.append(
            sortKey: nil,
            cells: [
                Table.Cell(id ?? "-"), Table.Cell(created ?? "-"),
                Table.Cell(id == nil ? "unproven" : isIssuing ? "issue and check" : "check"),
                Table.Cell("\(count)"),
            ],
            json: [
                ("id", JSON(id)), ("created_at", JSON(created)), ("issuing", .bool(isIssuing)),
                ("active_keys", .integer(count)),
            ])
    }
}

extension Directory {
    /// How many keys hold now, by the secret that their checks were made with; of nil, with none.
    func activeKeysByCheck() async throws -> [String?: Int] {
        var counts: [String?: Int] = [:]
        var pages = KeyPages(self, of: nil)
        while let page = try await pages.next() {
            for key in page where key.status == .active { counts[key.check, default: 0] += 1 }
        }
        return counts
    }
}
