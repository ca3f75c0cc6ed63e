// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore

/// Sends one datagram a message to whoever supervises this process, and never waits for them.
struct SupervisorSocket {
    private let descriptor: CInt
    private let address: SupervisorAddress

    init(_ address: SupervisorAddress) throws(IOError) {
        #if canImport(Musl)
            let kind = SOCK_DGRAM | SOCK_CLOEXEC
        #else
            let kind = CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        #endif
        descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        self.address = address
    }

    /// The address is looked up each time, since who listens there may have been started anew.
    ///
    /// - Returns: 0, or the `errno`; `EAGAIN` where they have many to read.
    func send(_ message: String) -> CInt {
        let octets = Array(message.utf8)
        let count = address.withSockaddr { address, length in
            sendto(
                descriptor, octets, octets.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL), address,
                length)
        }
        return count >= 0 ? 0 : errno
    }

    func end() {
        close(descriptor)
    }
}
