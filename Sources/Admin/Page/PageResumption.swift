// SPDX-License-Identifier: Apache-2.0

import NIOHTTP1

/// Where a page goes on that has been there before.
enum PageResumption {
    /// The last second that it knows, by `Last-Event-ID`, which browsers send by themselves, or by `after` in the query, for a
    /// page that begins its events anew.
    ///
    /// - Returns: nil where it says none, or something else.
    static func after(_ head: HTTPRequestHead) -> Int? {
        let query = head.uri.split(separator: "?", maxSplits: 1).dropFirst().first ?? ""
        let asked = query.split(separator: "&").compactMap { member in
            member.hasPrefix("after=") ? Int(member.dropFirst("after=".count)) : nil
        }
        return (asked + head.headers["Last-Event-ID"].compactMap { Int($0) }).max()
    }
}
