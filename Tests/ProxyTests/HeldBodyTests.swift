// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct HeldBodyTests {
    private static let kibibyte = 1024

    /// One of `count` octets, read by `pieces` in turn: how much is read at a time, into how much.
    private static func body(_ count: Int, of pieces: [(read: Int, capacity: Int)]) -> (HeldBody, ByteBuffer) {
        var (body, octets) = (HeldBody(of: .address("192.0.2.1")), ByteBuffer())
        var number = 0
        while octets.readableBytes < count {
            let piece = pieces[number % pieces.count]
            var storage = ByteBufferAllocator().buffer(capacity: piece.capacity)
            storage.writeRepeatingByte(UInt8(0x61 + number % 26), count: min(piece.read, count - octets.readableBytes))
            octets.writeImmutableBuffer(storage)
            body.append(storage)
            number += 1
        }
        return (body, octets)
    }

    private static func octets(of body: HeldBody) -> ByteBuffer {
        body.slices.reduce(into: ByteBuffer()) { $0.writeImmutableBuffer($1) }
    }

    @Test(arguments: [
        [(64, 64)], [(33, 64)], [(31, 64), (64, 64)], [(16, 16), (17, 64)], [(15, 64), (64, 64)], [(1, 64)], [(40, 64)],
        [(4, 4), (32, 32), (20, 64), (64, 64), (64, 64)], [(100, 128)], [(65, 128), (64, 64)],
    ])
    func whatIsKeptIsTheBodyForTwoThirds(_ pieces: [(Int, Int)]) {
        let count = 1 << 20
        let (body, octets) = Self.body(
            count, of: pieces.map { (read: $0.0 * Self.kibibyte, capacity: $0.1 * Self.kibibyte) })
        #expect(Self.octets(of: body) == octets)
        // The last one isn't full yet.
        #expect(body.bytes <= count * 3 / 2 + 64 * Self.kibibyte)
        #expect(body.bytes == body.slices.reduce(0) { $0 + $1.storageCapacity })
    }

    @Test func chunksOfOneBufferCountOnce() {
        var (body, storage) = (HeldBody(of: .address("192.0.2.1")), ByteBuffer())
        storage.writeRepeatingByte(0x61, count: 64 * Self.kibibyte)
        for _ in 0..<16 {
            var read = storage
            while let chunk = read.readSlice(length: 16 * Self.kibibyte) { body.append(chunk) }
        }
        #expect(Self.octets(of: body).readableBytes == 1 << 20)
        #expect(body.bytes <= (1 << 20) + 64 * Self.kibibyte)
    }

    @Test func oneThatCameAtOnceStaysWhereItWasRead() {
        let (body, octets) = Self.body(300, of: [(300, 512)])
        #expect(body.slices == [octets])
        #expect((body.bytes, body.needed) == (512, 0))
    }

    @Test func fullReadsStayWhereTheyAre() {
        let (body, _) = Self.body(1 << 20, of: [(64 * Self.kibibyte, 64 * Self.kibibyte)])
        #expect(body.slices.count == 16)
        #expect(body.bytes == 1 << 20)
    }
}
