// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

extension ByteBuffer {
    /// The line before a chunk of so many bytes, which must be at least one: a size of zero would end the body.
    package mutating func writeChunkStart(_ size: Int) {
        precondition(size > 0, "Cannot write an empty chunk: it would end the body")
        // 16 digits and CRLF.
        writeStretch(atMost: 18) { output in
            var shift = (Int.bitWidth - 1 - size.leadingZeroBitCount) & ~3
            while shift >= 0 {
                let digit = UInt8(truncatingIfNeeded: size &>> shift) & 0xF
                output.append(UInt8.hexDigit(digit))
                shift -= 4
            }
            output.append("\r\n")
        }
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
