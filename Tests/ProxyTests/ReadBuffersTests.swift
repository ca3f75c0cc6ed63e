// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct ReadBuffersTests {
    private var reads = NIOPooledRecvBufferAllocator(capacity: 1, recvAllocator: ReadBuffers())

    /// Has so many octets read, as many as there is room for.
    ///
    /// - Returns: the buffer; whoever drops it is through with it.
    private mutating func read(_ octets: Int) -> ByteBuffer {
        let (buffer, count) = reads.buffer(allocator: ByteBufferAllocator()) { buffer in
            buffer.writeRepeatingByte(0, count: min(octets, buffer.writableBytes))
        }
        reads.record(actualReadBytes: count)
        return buffer
    }

    @Test mutating func aLongReadTakesMoreEachTime() {
        #expect((0..<5).map { _ in read(1 << 20).readableBytes } == [512, 4096, 32_768, 65_536, 65_536])
    }

    @Test mutating func shortReadsShareABuffer() {
        let storage = read(100).withVeryUnsafeBytes(\.baseAddress)
        for _ in 0..<5 { #expect(read(100).withVeryUnsafeBytes(\.baseAddress) == storage) }
    }

    @Test mutating func nothingOfALongReadIsKept() {
        for _ in 0..<20 { _ = read(1 << 20) }
        // It takes two short ones to halve the next.
        let sizes = (0..<16).map { _ in read(1).capacity }
        #expect(sizes == (9...16).reversed().flatMap { [1 << $0, 1 << $0] })
        #expect(reads.count == 1)
    }

    @Test mutating func whatSomebodyHoldsIsNotOverwritten() {
        let first = read(100)
        let second = read(50)
        #expect((first.readableBytes, second.readableBytes) == (100, 50))
    }
}
