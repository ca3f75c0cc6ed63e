// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Where one loop puts heads together.
struct Scratch {
    /// Of usual heads.
    private static let usual = 2 * 1024
    /// Of the longest heads that are usual; what longer ones took is given back.
    private static let mostKept = 32 * 1024

    /// For what is written at once; free again once the socket has taken it.
    var head = ByteBufferAllocator().buffer(capacity: Self.usual)
    /// For answers, which are given away; nil while one is.
    private var answer: ByteBuffer?

    /// For the next head, in what the last one took unless that was long.
    mutating func begin() {
        Self.empty(&head)
    }

    /// Gives back what it took, if that is much.
    static func empty(_ buffer: inout ByteBuffer) {
        if buffer.storageCapacity > mostKept {
            buffer = ByteBufferAllocator().buffer(capacity: usual)
        } else {
            buffer.clear()
        }
    }

    /// To be written to and given away: nobody else has it, so that more can be joined to it.
    mutating func take() -> ByteBuffer {
        guard var taken = answer.take() else { return ByteBufferAllocator().buffer(capacity: Self.usual) }
        taken.clear()
        return taken
    }

    /// What was taken is on its way to the socket, which lets go of it in most cases before it is taken again; else that makes
    /// another.
    mutating func regain(_ buffer: ByteBuffer) {
        let size = buffer.storageCapacity
        guard size <= Self.mostKept, answer.map({ $0.storageCapacity < size }) ?? true else { return }
        answer = buffer
    }
}
