// SPDX-License-Identifier: Apache-2.0

import LibC

/// A port of 127.0.0.1 where nobody listens, and nobody else can while it is lent: connections are refused there.
package enum UnusedPort {
    package static func lend<Value>(
        isolation: isolated (any Actor)? = #isolation, _ body: (Int) async throws -> Value
    ) async throws -> Value {
        let (descriptor, port) = try bound()
        defer { close(descriptor) }
        return try await body(port)
    }

    private static func bound() throws -> (descriptor: CInt, port: Int) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw RedisServer.Failure(description: "no socket: errno \(errno)") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(UInt32(0x7F00_0001).bigEndian)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard status == 0 else {
            let failure = RedisServer.Failure(description: "no free port: errno \(errno)")
            close(descriptor)
            throw failure
        }
        return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
    }

    /// One that was free at this moment.
    static func passing() throws -> Int {
        let (descriptor, port) = try bound()
        close(descriptor)
        return port
    }
}
