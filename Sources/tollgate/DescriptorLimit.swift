// SPDX-License-Identifier: Apache-2.0

import LibC

/// How many descriptors the process may have open.
enum DescriptorLimit {
    #if canImport(Musl)
        private static var resource: Int32 { RLIMIT_NOFILE }
    #else
        private static var resource: __rlimit_resource_t { __rlimit_resource_t(RLIMIT_NOFILE.rawValue) }
    #endif

    /// Nil where the kernel doesn't tell.
    static var now: Int? {
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? Int(clamping: limit.rlim_cur) : nil
    }

    /// Raises the limit to the hard one. The soft one is for programs that use `select`, and is 1024 nearly everywhere.
    ///
    /// - Returns: what holds now; nil where the kernel doesn't tell.
    static func raise() -> Int? {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return nil }
        var raised = limit
        raised.rlim_cur = limit.rlim_max
        guard setrlimit(resource, &raised) == 0 else { return Int(clamping: limit.rlim_cur) }
        return Int(clamping: raised.rlim_cur)
    }
}
