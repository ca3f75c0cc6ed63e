// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Limits
import Redis

/// Revokes keys in steps, and says of each what became of it. What ends it early is told with what was done.
struct Revocation {
    /// Keys a step: between two of them a signal is obeyed.
    private static let step = 100
    /// Whoever makes keys faster than a filter finds them is to be stopped otherwise.
    private static let mostPasses = 10
    private static let mostIrrevocable = 10_000

    let session: Session
    let reason: String
    let isJSON: Bool
    /// How many there are, where that is known.
    var total: Int?
    private(set) var revoked = 0
    private(set) var before = 0
    /// Of those that were revoked, by a later pass.
    private(set) var meanwhile = 0
    /// The last pass found some, too.
    private var isOutrun = false
    /// Of which it isn't known whether they are: there was no answer.
    private var uncertain = 0
    /// What names none, and what couldn't be revoked.
    private var missing = BoundedNotes()
    private var failed = BoundedNotes()
    /// Which couldn't be, so that no later pass tells of them again.
    private var irrevocable: Set<KeyID> = []
    private var counts: [OrganizationID: Int] = [:]
    private(set) var lost: Output.Lost?

    init(_ session: Session, reason: String, isJSON: Bool) {
        self.session = session
        self.reason = reason
        self.isJSON = isJSON
    }

    /// Whether anything was written.
    var isAnythingDone: Bool { revoked + before > 0 }

    mutating func revoke(_ targets: KeyTargets) async throws {
        var targets = targets
        do {
            while let page = try await targets.next(session.directory) {
                for text in page.missing { note(missing: text) }
                try await carryOut(page.keys.map { ($0.id, $0.rotatedFrom) })
            }
            try obeySignals()
        } catch {
            throw ended(by: error)
        }
    }

    mutating func revoke(_ keys: [(id: KeyID, rotatedFrom: KeyID?)]) async throws {
        do {
            try await carryOut(keys)
            try obeySignals()
        } catch {
            throw ended(by: error)
        }
    }

    /// Keys that came while others were revoked: pass by pass, until one finds none that can be revoked.
    ///
    /// - Parameter targets: of the next pass.
    mutating func repeatedly(_ targets: () -> KeyTargets) async throws {
        guard revoked > 0 else { return }
        total = nil
        for _ in 0..<Self.mostPasses {
            let before = revoked
            try await revoke(targets())
            guard revoked > before else { return }
            meanwhile += revoked - before
        }
        isOutrun = true
    }

    /// - Throws: what all other keys would meet too, after all of the step that it came in.
    private mutating func carryOut(_ keys: [(id: KeyID, rotatedFrom: KeyID?)]) async throws {
        var rest = keys[...]
        while !rest.isEmpty {
            try obeySignals()
            let turn = rest.prefix(Self.step).filter { !irrevocable.contains($0.id) }
            rest = rest.dropFirst(Self.step)
            var fault: DirectoryError?
            for (key, result) in zip(turn, await session.directory.revokeKeys(turn, reason: reason)) {
                switch result {
                case .success(let isNew): show(key.id, isNew)
                case .failure(.keyMissing(let text)): note(missing: "key \(text) does not exist")
                case .failure(let error) where error.concernsOneKey:
                    let failure = Failure(error, at: session.endpoint)
                    note(failed: "key \(key.id.text) is not revoked: \(failure.message)")
                    if irrevocable.count < Self.mostIrrevocable { irrevocable.insert(key.id) }
                case .failure(let error):
                    if error.leavesOpen { uncertain += 1 }
                    fault = fault ?? error
                }
            }
            if let fault { throw fault }
        }
    }

    private mutating func note(missing text: String) { missing.append(text) }

    private mutating func note(failed text: String) { failed.append(text) }

    private mutating func show(_ id: KeyID, _ isNew: Bool) {
        if isNew {
            revoked += 1
            counts[id.organization, default: 0] += 1
        } else {
            before += 1
        }
        // Whoever revokes several in a hurry wants the others gone, whoever reads it.
        guard lost == nil else { return }
        do throws(Output.Lost) {
            if isJSON {
                try Output.json([("id", .string(id.text)), ("revoked", .bool(isNew))])
            } else {
                try Output.line(isNew ? "Key \(id.text) revoked." : "Key \(id.text) was revoked before.")
            }
        } catch {
            lost = error
        }
    }

    /// `3 keys revoked (1 came meanwhile), 1 was revoked before`
    var summary: String {
        "\("key".counted(revoked)) revoked" + (meanwhile == 0 ? "" : " (\(meanwhile) came meanwhile)")
            + (before == 0 ? "" : ", \(before) \(before == 1 ? "was" : "were") before")
    }

    private func obeySignals() throws {
        guard let code = Interruption.exitCode else { return }
        for line in notes { Output.note("tollgatectl: \(line)") }
        Output.note("tollgatectl: interrupted: \(soFar)")
        throw code
    }

    private func ended(by error: any Error) -> any Error {
        switch error {
        case let error as DirectoryError: stopped(by: Failure(error, at: session.endpoint))
        case let failure as Failure: stopped(by: failure)
        default: error
        }
    }

    private func stopped(by failure: Failure) -> Failure {
        let rest = isAnythingDone || uncertain > 0 ? [soFar] : []
        return Failure(failure.code, (notes + [failure.message] + rest).joined(separator: "\ntollgatectl: "))
    }

    /// What was wrong with single keys.
    private var notes: [String] { missing.lines + failed.lines }

    /// Nil where nothing was.
    var failure: Failure? {
        let notes = notes + (isOutrun ? [Self.outrun] : [])
        guard !notes.isEmpty else { return nil }
        let code: Failure.Code = !failed.isEmpty ? .unavailable : isOutrun ? .tryAgain : .notFound
        return Failure(code, notes.joined(separator: "\ntollgatectl: "))
    }

    private static let outrun =
        "keys that match were made again and again; stop whoever makes them, say with org suspend, then run the same command again"

    /// Where there is something to say about the audit trail; nil else.
    var warning: String? {
        let organizations = counts.filter { $0.value > AuditTrail.kept }.map(\.key.text).sorted()
        guard !organizations.isEmpty else { return nil }
        let shown = organizations.prefix(5).joined(separator: ", ") + (organizations.count > 5 ? ", …" : "")
        return "warning: an audit trail keeps about \(AuditTrail.kept) entries, so it doesn't have all of these "
            + "revocations, and nothing from before: \(shown)"
    }

    private var soFar: String {
        let of = total.map { " of \($0)" } ?? ""
        let perhaps = uncertain == 0 ? "" : ", perhaps \(uncertain) more"
        return "\(summary)\(perhaps)\(of), the others not; for those run the same command again"
    }
}

/// Lines to be told at the end, of however many there were.
private struct BoundedNotes {
    private static let most = 100

    private var texts: [String] = []
    private var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ text: String) {
        count += 1
        if texts.count < Self.most { texts.append(text) }
    }

    var lines: [String] {
        count > texts.count ? texts + ["\(count - texts.count) more like these"] : texts
    }
}

extension DirectoryError {
    /// Redis refused what was asked about this key, as where its record is no hash. The next one may be another matter.
    fileprivate var concernsOneKey: Bool {
        guard case .redis(let error) = self, error.serverCode != nil else { return false }
        return error.fault == .other
    }

    /// Whether what was asked was done, nobody knows.
    fileprivate var leavesOpen: Bool {
        switch self {
        case .redis(.timeout), .redis(.connectionClosed), .redis(.protocolViolation): true
        default: false
        }
    }
}
