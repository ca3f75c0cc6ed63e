// SPDX-License-Identifier: Apache-2.0

/// What becomes of a request that needs Redis while Redis is away, late or swapped (docs/rate-limits.md, "Without Redis"). The
/// more careful one is the greater.
package enum OnFailure: String, Sendable, Hashable, CaseIterable, Comparable {
    /// Known keys and public routes pass uncharged.
    case open
    /// Known keys and addresses are counted in this process, by its share of each allowance.
    case local
    /// 503.
    case closed

    private var care: Int {
        switch self {
        case .open: 0
        case .local: 1
        case .closed: 2
        }
    }

    package static func < (one: OnFailure, other: OnFailure) -> Bool { one.care < other.care }
}
