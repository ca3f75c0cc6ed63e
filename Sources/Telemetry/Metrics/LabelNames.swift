// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// Numbers for the texts that configurations give to labels: patterns of routes, names of tools. A text keeps its number over
/// reloads, so that its series goes on.
///
/// Its lock is taken when a configuration is read and when metrics are asked for, never for a request.
package final class LabelNames: Sendable {
    /// There is none: the label is left out.
    package static let none = 0
    /// Whatever no configuration has named.
    package static let other = 1
    package static let otherText = "other"
    /// Reloads that name ever new ones don't grow this without a bound.
    static let most = 20_000

    private struct State {
        var texts = ["", LabelNames.otherText]
        var numbers = [LabelNames.otherText: LabelNames.other]
    }

    private let state = NIOLockedValueBox(State())

    package init() {}

    /// Of the process: its series outlive configurations.
    package static let ofProcess = LabelNames()

    package func number(of text: String) -> Int {
        state.withLockedValue { state in
            if let known = state.numbers[text] { return known }
            guard state.texts.count < Self.most else { return Self.other }
            state.texts.append(text)
            state.numbers[text] = state.texts.count - 1
            return state.texts.count - 1
        }
    }

    /// Empty where there is none.
    package func text(of number: Int) -> String {
        state.withLockedValue { $0.texts.indices.contains(number) ? $0.texts[number] : Self.otherText }
    }
}
