// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

extension ByteBuffer {
    /// `METHOD path HTTP/1.1` and CRLF for the next hop: the target in origin form (or `*`, or CONNECT's authority),
    /// whatever form it came in (RFC 9112 §3.2.1).
    ///
    /// - Parameter target: another one, of visible ASCII, in place of its own.
    package mutating func writeRequestLine(of head: RequestHead, to target: [UInt8]? = nil) {
        writeRange(head.methodRange, of: head.section)
        writeStaticString(" ")
        if let target { writeBytes(target) } else { writeTarget(of: head) }
        writeStaticString(" HTTP/1.1\r\n")
    }

    private mutating func writeTarget(of head: RequestHead) {
        switch head.targetForm {
        case .origin:
            writeRange(head.pathRange, of: head.section)
        case .absolute:
            if head.view(of: head.pathRange).first != UInt8(ascii: "/") { writeStaticString("/") }
            writeRange(head.pathRange, of: head.section)
        case .asterisk:
            writeStaticString("*")
        case .authority:
            writeRange(head.targetRange, of: head.section)
        }
    }

    /// `HTTP/1.1 status reason` and CRLF, status and reason as the handler wrote them.
    package mutating func writeStatusLine(of head: ResponseHead) {
        writeStaticString("HTTP/1.1 ")
        writeDecimal(UInt64(head.status))
        writeStaticString(" ")
        writeRange(head.reasonRange, of: head.section)
        writeStaticString("\r\n")
    }

    /// `HTTP/1.1 status phrase` and CRLF for a response of our own.
    package mutating func writeStatusLine(_ status: Int) {
        writeStaticString("HTTP/1.1 ")
        writeDecimal(UInt64(status))
        writeStaticString(" ")
        writeStaticString(StatusPhrase.of(status))
        writeStaticString("\r\n")
    }
}

// MARK: - Chunked framing

extension ByteBuffer {
    /// The line before a chunk of so many bytes, which must be at least one: a size of zero would end the body.
    package mutating func writeChunkStart(_ size: Int) {
        precondition(size > 0, "Cannot write an empty chunk: it would end the body")
        var shift = (Int.bitWidth - 1 - size.leadingZeroBitCount) & ~3
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: size &>> shift) & 0xF
            writeInteger(UInt8.hexDigit(digit))
            shift -= 4
        }
        writeStaticString("\r\n")
    }

    /// What stands behind the bytes of a chunk.
    package mutating func writeChunkEnd() {
        writeStaticString("\r\n")
    }

    /// The last chunk, the trailers as `BodyEvent.end` handed them out, and the end of the body.
    package mutating func writeLastChunk(trailers: ByteBuffer? = nil) {
        writeStaticString("0\r\n")
        if let trailers { writeImmutableBuffer(trailers) }
        writeStaticString("\r\n")
    }
}
