// SPDX-License-Identifier: Apache-2.0

import LibC

/// A reading of this machine's clock, which may be set at any time. Redis' clock is the one that limits go by.
package struct WallTime: Sendable, Hashable {
    /// Since 1970, UTC.
    package var seconds: Int
    /// 0…999 999
    package var microseconds: Int

    package init(seconds: Int, microseconds: Int = 0) {
        self.seconds = seconds
        self.microseconds = microseconds
    }

    package static func now() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(seconds: Int(time.tv_sec), microseconds: Int(time.tv_nsec) / 1_000)
    }

    package var microsecondsSince1970: Int { seconds * 1_000_000 + microseconds }
}
