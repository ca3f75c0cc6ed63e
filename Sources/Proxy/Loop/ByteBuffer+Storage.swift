// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension ByteBuffer {
    /// What is kept may be this many times as much as is meant.
    private static let mostSlack = 4

    /// The same octets, in storage of their own where they are few for what they came in: whoever keeps them keeps all of it.
    var inFittingStorage: ByteBuffer {
        storageCapacity > Self.mostSlack * readableBytes ? ByteBuffer(buffer: self) : self
    }

    /// What rests must not hold on to the storage of what was read.
    mutating func letGoIfEmpty() {
        if readableBytes == 0, storageCapacity > 0 { self = ByteBuffer() }
    }
}
