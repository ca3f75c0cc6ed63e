// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What a socket is read into. A short read takes a buffer that stays with its connection; a longer one takes a buffer that
/// goes with what was read, so that a connection at rest keeps nothing of the longest that it ever had.
///
/// NIO keeps as many buffers for a connection as it reads in a row (`maxMessagesPerRead`), each as large as the largest was that
/// it had to be, but none from an allocator that doesn't say how large the next one is.
struct ReadBuffers: RecvByteBufferAllocator {
    /// Most requests fit in.
    private static let kept = 512
    private static let longest = 64 * 1024
    /// Of a full one: what is long is read in few pieces, since each goes on by itself.
    private static let growth = 8

    private var size = kept
    /// The last read needed half of its buffer at most.
    private var hadRoom = false

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        allocator.buffer(capacity: size)
    }

    /// Nil for a buffer that isn't to be kept.
    func nextBufferSize() -> Int? {
        size == Self.kept ? size : nil
    }

    /// The next one is larger where this one was full, and half as large where two in a row were half empty.
    ///
    /// - Returns: whether it may be larger than the one that is kept.
    mutating func record(actualReadBytes: Int) -> Bool {
        let hadRoomBefore = hadRoom
        hadRoom = actualReadBytes <= size / 2
        if actualReadBytes >= size {
            size = min(Self.growth * size, Self.longest)
        } else if hadRoom, hadRoomBefore, size > Self.kept {
            (size, hadRoom) = (size / 2, false)
        }
        return size > Self.kept
    }
}

extension Channel {
    /// To be called on its loop, before it reads.
    func setReadBuffers() throws {
        guard let options = syncOptions else { return }
        // Of one buffer that is kept.
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: ReadBuffers())
    }
}
