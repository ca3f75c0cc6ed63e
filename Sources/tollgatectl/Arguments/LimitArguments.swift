// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

/// The numbers that a verb stores, each policy once.
struct LimitArguments: ParsableArguments {
    @Argument(
        help: ArgumentHelp("search=100/10s, monthly=5000/month, streams=8.", valueName: "policy=limit"),
        transform: LimitEdit.init(argument:))
    var edits: [LimitEdit]

    func validate() throws {
        guard Set(edits.map(\.policy)).count == edits.count else {
            throw ValidationError("<policy=limit>: give each policy once")
        }
    }

    /// See ``LimitCheck``.
    func check(for owner: LimitOwner, _ session: Session) async throws {
        try await LimitCheck(edits: edits, owner: owner).check(session)
    }
}

extension LimitEdit {
    /// `search=100/10s`, `monthly=5000/month`, `streams=8`; `policy=default` removes.
    init(argument text: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, Policy.isName(parts[0]) else {
            let lower = parts[0].lowercased()
            let guess = parts.count == 2 && Policy.isName(lower) ? " (did you mean \(lower)=\(parts[1])?)" : ""
            throw ValidationError("expected policy=limit such as search=100/10s, or policy=default\(guess)")
        }
        guard parts[1] != "default" else {
            self.init(policy: String(parts[0]), allowance: nil)
            return
        }
        do throws(LimitError) {
            self.init(policy: String(parts[0]), allowance: try Allowance(parsing: String(parts[1])))
        } catch {
            throw ValidationError("\(parts[0]): \(error)")
        }
    }
}
