// SPDX-License-Identifier: Apache-2.0

import Settings

/// How connections begin that were accepted by an entry of `listen` with more than an address. It is immutable: a reload makes
/// another one, and who is connected stays with the one that he came by.
final class Entrance: Sendable {
    let opening: Settings.Listen.Opening

    /// Nil where a connection begins with its first request.
    init?(_ opening: Settings.Listen.Opening) {
        guard opening != Settings.Listen.Opening() else { return nil }
        self.opening = opening
    }
}
