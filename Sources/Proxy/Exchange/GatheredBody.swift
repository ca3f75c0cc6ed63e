// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The beginning of a body, kept until there is enough of it to take a connection to the handler for: one that drips would
/// hold that connection for nothing.
struct GatheredBody {
    /// With so much of it a body is worth a connection.
    private static let enough = 16 * 1024

    /// Nil where there are none.
    private(set) var bytes: ByteBuffer?
    private(set) var trailers: ByteBuffer?
    /// It is the whole body.
    private(set) var isComplete = false

    var isEnough: Bool { bytes.map { $0.readableBytes >= Self.enough } ?? false }

    mutating func append(_ payload: ByteBuffer) {
        // Smaller ones are copied: each would keep the whole buffer it was read into.
        if bytes == nil {
            bytes = payload.readableBytes >= Self.enough ? payload : ByteBuffer(buffer: payload)
        } else {
            bytes?.writeImmutableBuffer(payload)
        }
    }

    mutating func end(_ trailers: ByteBuffer?) {
        isComplete = true
        self.trailers = trailers
    }
}
