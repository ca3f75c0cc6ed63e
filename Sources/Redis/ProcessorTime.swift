// SPDX-License-Identifier: Apache-2.0

import LibC
package import NIOCore

extension TimeAmount {
    /// For how long this thread has had a processor.
    package static var workedByThisThread: TimeAmount {
        var time = timespec()
        // The call fills what it is given, and keeps nothing.
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }
}
