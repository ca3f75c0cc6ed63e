// SPDX-License-Identifier: Apache-2.0

import LibC

/// A datagram socket of this machine, as NOTIFY_SOCKET names it (sd_notify(3)): a path, or after `@` a name that is in no file
/// system.
struct SupervisorAddress: Equatable, Sendable {
    private static let longest = MemoryLayout.size(ofValue: sockaddr_un().sun_path)

    /// Of `sun_path`: an abstract name begins with a zero (unix(7)).
    private let octets: [UInt8]

    /// - Throws: where the text names no such socket; `vsock:` is that of a virtual machine's host.
    init(_ text: String) throws(Supervision.Flaw) {
        var octets = Array(text.utf8)
        func flaw(_ problem: String) -> Supervision.Flaw {
            Supervision.Flaw(variable: "NOTIFY_SOCKET", value: text, problem: problem)
        }
        switch octets.first {
        // The kernel wants a path to end with a zero, and takes an abstract name as long as it is said to be.
        case UInt8(ascii: "/"):
            guard octets.count < Self.longest else { throw flaw("longer than a path of a socket can be") }
        case UInt8(ascii: "@"):
            guard octets.count > 1 else { throw flaw("expected a name after @") }
            guard octets.count <= Self.longest else { throw flaw("longer than a name of a socket can be") }
            octets[0] = 0
        default:
            let isVirtual = ["vsock:", "vsock-dgram:", "vsock-stream:", "vsock-seqpacket:"].contains {
                text.hasPrefix($0)
            }
            throw flaw(isVirtual ? "sockets of virtual machines aren't supported" : "expected a path, or @ and a name")
        }
        self.octets = octets
    }

    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: octets) }
        // A path's length may include its zero or not.
        let length = MemoryLayout<sockaddr_un>.size - Self.longest + octets.count
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }
}
