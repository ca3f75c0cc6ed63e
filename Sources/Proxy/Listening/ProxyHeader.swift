// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// What a proxy that relays octets writes before the first of them: whose they are. This is the PROXY protocol of HAProxy,
/// versions 1 and 2 (`doc/proxy-protocol.txt` of 2020-03-05, §2.1 and §2.2). No IO.
///
/// It is read strictly: where two readings are possible a client could choose whom it counts as.
struct ProxyHeader: Equatable {
    enum Source: Equatable {
        /// The proxy itself, which asks whether we are there (LOCAL).
        case proxy
        case client(IPAddress)
        /// Somebody whose address the proxy doesn't know, or that is none of TCP (UNKNOWN; UNSPEC, Unix sockets, datagrams).
        case unnamed
    }

    /// Why the connection isn't served.
    enum Flaw: Error, Equatable {
        /// What comes begins otherwise.
        case missing
        /// It begins so, and goes on wrongly.
        case malformed
        /// Its CRC32c is another.
        case checksum
    }

    /// Octets of a header of version 2, with what is known to be put into its extensions: certificates are the longest.
    static let longest = 4096

    let source: Source
    /// In octets.
    let length: Int

    static func read(_ buffer: ByteBuffer) throws(Flaw) -> ProxyHeader? {
        try read(buffer.readableBytesUInt8Span)
    }

    /// Reads what there is so far. The same octets are read anew when more have come, so it doesn't matter how they come.
    ///
    /// - Returns: nil while the header may still become whole.
    static func read(_ octets: Span<UInt8>) throws(Flaw) -> ProxyHeader? {
        guard octets.count > 0 else { return nil }
        return octets[0] == binarySignature[0] ? try readBinary(octets) : try readText(octets)
    }

    /// - Returns: whether all of it is there.
    static func begins(_ octets: Span<UInt8>, with signature: borrowing Span<UInt8>) throws(Flaw) -> Bool {
        let count = min(octets.count, signature.count)
        for position in 0..<count where octets[position] != signature[position] { throw .missing }
        return count == signature.count
    }
}
