// SPDX-License-Identifier: Apache-2.0

import Proxy

/// Listening sockets that whoever started the process has opened for it, as sd_listen_fds(3) describes: LISTEN_FDS tells
/// how many there are from descriptor 3 on, LISTEN_PID whom they are for, LISTEN_FDNAMES what
/// they are called.
struct InheritedSockets: Equatable {
    struct Malformed: Error, CustomStringConvertible {
        let name: String
        let value: String

        var description: String { "\(name): expected a number, got '\(value)'" }
    }

    private static let first: CInt = 3
    /// More than anybody has, and few enough to be looked at one by one.
    private static let most: CInt = 1000

    let sockets: [InheritedSocket]

    init(environment: [String: String], pid: Int32) throws(Malformed) {
        guard let count = environment["LISTEN_FDS"], let owner = environment["LISTEN_PID"] else {
            sockets = []
            return
        }
        guard let intended = Int32(owner) else { throw Malformed(name: "LISTEN_PID", value: owner) }
        // Meant for the process that this one descends from.
        guard intended == pid else {
            sockets = []
            return
        }
        guard let number = CInt(count), 0...Self.most ~= number else {
            throw Malformed(name: "LISTEN_FDS", value: count)
        }
        let names = environment["LISTEN_FDNAMES"]?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        sockets = (0..<number).map { index in
            let name = names.dropFirst(Int(index)).first.map(String.init) ?? ""
            return InheritedSocket(descriptor: Self.first + index, name: name.isEmpty ? nil : name)
        }
    }
}
