// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// Bodies are written in the framing of the side they go to.
extension BodyFraming {
    /// A payload up to this is copied into one buffer with its framing: three buffers for a byte each cost more than a copy,
    /// in writes and in memory, and whoever sends such chunks chooses how many there are.
    private static let copiedPayload = 1024

    private static let chunkEnd = ByteBuffer(string: "\r\n")
    private static let plainLastChunk = ByteBuffer(string: "0\r\n\r\n")

    /// Writes a part of a body, which is never empty.
    func frame(_ payload: ByteBuffer, _ write: (ByteBuffer) -> Void) {
        guard self == .chunked else { return write(payload) }
        // A new buffer each time: the socket may hold several at once.
        let isCopied = payload.readableBytes <= Self.copiedPayload
        var buffer = ByteBufferAllocator().buffer(capacity: 16 + (isCopied ? payload.readableBytes : 0))
        buffer.writeChunkStart(payload.readableBytes)
        guard isCopied else {
            write(buffer)
            write(payload)
            return write(Self.chunkEnd)
        }
        buffer.writeImmutableBuffer(payload)
        buffer.writeChunkEnd()
        write(buffer)
    }

    /// What ends a body in chunks.
    static func lastChunk(_ trailers: ByteBuffer?) -> ByteBuffer {
        guard let trailers else { return plainLastChunk }
        var buffer = ByteBufferAllocator().buffer(capacity: trailers.readableBytes + 8)
        buffer.writeLastChunk(trailers: trailers)
        return buffer
    }
}
