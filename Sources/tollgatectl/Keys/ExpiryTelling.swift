// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import LibC
import Limits
import Octets

/// Tells a command of keys that end soon, once a key and threshold.
///
/// A key is noted after its command has ended well. So what is interrupted between the two is told once more, and nothing
/// is told never.
struct ExpiryTelling {
    /// Organizations whose meta is remembered.
    private static let mostMeta = 1_000

    private let session: Session
    private let command: HookCommand
    private let within: Threshold
    private let isJSON: Bool
    private var told = 0
    private var before = 0
    private var failures = 0
    private var metas: [OrganizationID: JSON] = [:]

    init(_ session: Session, _ command: HookCommand, _ within: Threshold, isJSON: Bool) {
        self.session = session
        self.command = command
        self.within = within
        self.isJSON = isJSON
    }

    /// By what the command was ended. Ctrl-C is for it as well, and it may hear of it first.
    private var signal: CInt?

    /// Somebody wants it to end.
    var isOver: Bool { interruption != nil }

    private var interruption: ExitCode? { Interruption.exitCode ?? signal.map { ExitCode(128 + $0) } }

    mutating func tell(of keys: [KeyDescription]) async throws {
        for key in keys where !isOver {
            guard !key.toldWithin.contains(within.seconds) else {
                before += 1
                continue
            }
            let isTold = try await tell(of: key)
            guard isJSON else { continue }
            try Output.json([
                ("id", .string(key.id.text)), ("ends_at", JSON(key.endsAt.map(Moment.text))), ("told", .bool(isTold)),
            ])
        }
    }

    private mutating func tell(of key: KeyDescription) async throws -> Bool {
        let more = [("within", JSON.string(within.text)), ("org_meta", try await meta(of: key.id.organization))]
        do throws(HookCommand.Failure) {
            try command.run(input: JSON.object(key.json + more).text + "\n")
        } catch {
            if case .notStarted = error {
                throw Failure(
                    .badData, "\(command.name.printable): \(error); key \(key.id.text) is told of by the next run")
            }
            if case .signalled(let number) = error, number == SIGINT || number == SIGTERM { signal = number }
            failures += 1
            Output.note("tollgatectl: key \(key.id.text): \(command.name.printable): \(error)")
            return false
        }
        try await session.directory.noteTold(of: key.id, within: within.seconds, "within \(within.text)")
        told += 1
        return true
    }

    private mutating func meta(of organization: OrganizationID) async throws -> JSON {
        if let known = metas[organization] { return known }
        let found = JSON(meta: try await session.directory.organization(organization).meta)
        if metas.count == Self.mostMeta { metas = [:] }
        metas[organization] = found
        return found
    }

    /// Says what was done.
    ///
    /// - Throws: 75 where a command failed, and what a signal ends with.
    func finish() throws {
        let rest = before == 0 ? "" : "; \("key".counted(before)) before"
        if !isJSON { try Output.line("Told of \("key".counted(told))\(rest).") }
        if let code = interruption {
            Output.note("tollgatectl: interrupted; the next run tells of the others")
            throw code
        }
        guard failures == 0 else {
            throw Failure(.tryAgain, "the command failed for \("key".counted(failures)); the next run tries again")
        }
    }
}
