// SPDX-License-Identifier: Apache-2.0

/// The name of a plan: as of policies, `[a-z][a-z0-9-]{0,31}`.
package struct PlanName: Sendable, Hashable {
    package let text: String

    package init?(_ text: String) {
        guard Policy.isName(text) else { return nil }
        self.text = text
    }
}
