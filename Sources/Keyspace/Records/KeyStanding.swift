// SPDX-License-Identifier: Apache-2.0

/// Whether a key is one, by its record and its organization's.
package enum KeyStanding: Sendable, Equatable {
    case holds
    case revoked
    case suspended
    case notYetValid
    case expired
}
