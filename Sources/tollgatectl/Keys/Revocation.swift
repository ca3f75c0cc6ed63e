// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

/// Revokes keys in steps, and says of each what became of it. What ends it early is told with what was done.
struct Revocation {
    /// Keys a step: between two of them a signal is obeyed.
    private static let step = 100

    let session: Session
    let reason: String
    let isJSON: Bool
    /// How many there are, where that is known.
    var total: Int?
    private(set) var revoked = 0
    private(set) var before = 0
    private(set) var missing: [String] = []
    private(set) var missingCount = 0
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
                try await revoke(page.keys.map { ($0.id, $0.rotatedFrom) })
            }
            try obeySignals()
        } catch let error as DirectoryError {
            throw stopped(by: Failure(error, at: session.endpoint))
        }
    }

    mutating func revoke(_ keys: [(id: KeyID, rotatedFrom: KeyID?)]) async throws {
        var rest = keys[...]
        while !rest.isEmpty {
            try obeySignals()
            let turn = Array(rest.prefix(Self.step))
            rest = rest.dropFirst(turn.count)
            var fault: DirectoryError?
            for (key, result) in zip(turn, await session.directory.revokeKeys(turn, reason: reason)) {
                switch result {
                case .success(let isNew): show(key.id, isNew)
                case .failure(.keyMissing(let text)): note(missing: "key \(text) does not exist")
                case .failure(let error): fault = fault ?? error
                }
            }
            if let fault { throw stopped(by: Failure(fault, at: session.endpoint)) }
        }
    }

    private mutating func note(missing text: String) {
        missingCount += 1
        if missing.count < 100 { missing.append(text) }
    }

    private mutating func show(_ id: KeyID, _ isNew: Bool) {
        if isNew { revoked += 1 } else { before += 1 }
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

    /// `3 keys revoked, 1 was revoked before`
    var summary: String {
        "\("key".counted(revoked)) revoked" + (before == 0 ? "" : ", \(before) \(before == 1 ? "was" : "were") before")
    }

    private func obeySignals() throws {
        guard let code = Interruption.exitCode else { return }
        Output.note("tollgatectl: interrupted: \(soFar)")
        throw code
    }

    private func stopped(by failure: Failure) -> Failure {
        isAnythingDone ? Failure(failure.code, "\(failure.message)\ntollgatectl: \(soFar)") : failure
    }

    private var soFar: String {
        let of = total.map { " of \($0)" } ?? ""
        return "\(summary)\(of), the others not; for those run the same command again"
    }
}
