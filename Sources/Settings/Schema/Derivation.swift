// SPDX-License-Identifier: Apache-2.0

/// What holds of a key where it isn't given and its default isn't the same everywhere: it depends on other keys, or on the
/// machine. `tollgate config show` tells it, without putting it in force.
struct Derivation: Sendable {
    /// Nil where nothing holds in its place.
    let value: @Sendable (_ settings: Settings) -> JSONValue?
    /// Entries that are in force beside those of a list that is given.
    let additions: @Sendable (_ settings: Settings, _ given: Element) -> [JSONValue]

    init(
        additions: @escaping @Sendable (_ settings: Settings, _ given: Element) -> [JSONValue] = { _, _ in [] },
        value: @escaping @Sendable (_ settings: Settings) -> JSONValue?
    ) {
        self.value = value
        self.additions = additions
    }
}
