// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits

// Names as arguments and options take them, by `transform`: what conforms to `ExpressibleByArgument` can be refused without
// the reason alone.

extension OrganizationID {
    init(argument text: String) throws {
        guard let name = OrganizationID(text) else {
            let guess = OrganizationID(text.lowercased()).map { " (did you mean \($0.text)?)" } ?? ""
            throw ValidationError("expected 1 to 40 of a-z, 0-9, _ and -\(guess)")
        }
        self = name
    }
}

extension PlanName {
    init(argument text: String) throws {
        guard let name = PlanName(text) else {
            let guess = PlanName(text.lowercased()).map { " (did you mean \($0.text)?)" } ?? ""
            throw ValidationError("expected 1 to 32 of a-z, 0-9 and -, beginning with a letter\(guess)")
        }
        self = name
    }
}
