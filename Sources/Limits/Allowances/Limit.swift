// SPDX-License-Identifier: Apache-2.0

/// A rate as people write it: `count` tokens a `period`, and a bucket that holds `burst` of them.
///
/// Text form: `<count>/[<n>](ms|s|m|h|d)[:<burst>]`, for example `20/10s` or `100/10s:200`.
package struct Limit: Sendable, Hashable {
    /// Tokens refilled in one period; 0 lets nothing through.
    package var count: Int
    package var periodMicroseconds: Int
    /// Capacity in tokens; the count unless configured.
    package var burst: Int

    package init(count: Int, periodMicroseconds: Int, burst: Int? = nil) {
        self.count = count
        self.periodMicroseconds = periodMicroseconds
        self.burst = burst ?? count
    }
}
