// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Octets

/// Seconds since 1970 on a steady clock that was set once, when the process began: one that is set back later would count a
/// second twice, and one that jumps would leave a gap.
package struct TrafficClock: Sendable {
    /// What is added to the steady clock, in ns.
    private let offset: Int64
    /// When the process began.
    package let start: Int

    package init(_ steady: NIODeadline = .now(), is wall: WallTime = .now()) {
        offset = Int64(wall.microsecondsSince1970) * 1_000 - Int64(steady.uptimeNanoseconds)
        start = wall.seconds
    }

    package func second(of time: NIODeadline) -> Int { Int(nanoseconds(of: time) / 1_000_000_000) }

    package func microseconds(of time: NIODeadline) -> Int { Int(nanoseconds(of: time) / 1_000) }

    private func nanoseconds(of time: NIODeadline) -> Int64 { Int64(time.uptimeNanoseconds) + offset }
}
