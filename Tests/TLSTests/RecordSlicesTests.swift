// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import TLS
import TestSupport
import Testing

@Suite struct RecordSlicesTests {
    /// What would encrypt: keeps what it got from one flush to the next.
    private final class Recorder: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        private(set) var flushed: [ByteBuffer] = []
        private(set) var closes: [CloseMode] = []
        private var batch = ByteBuffer()
        private var promises: [EventLoopPromise<Void>] = []
        /// Once, from within the next flush.
        var onFlush: (() -> Void)?

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            var octets = unwrapOutboundIn(data)
            batch.writeBuffer(&octets)
            if let promise { promises.append(promise) }
        }

        func flush(context: ChannelHandlerContext) {
            if batch.readableBytes > 0 { flushed.append(batch) }
            batch = ByteBuffer()
            let due = promises
            promises = []
            for promise in due { promise.succeed() }
            let act = onFlush
            onFlush = nil
            act?()
        }

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            closes.append(mode)
            context.close(mode: mode, promise: promise)
        }
    }

    private let recorder = Recorder()
    private let channel: EmbeddedChannel

    init() throws {
        channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandlers(recorder, RecordSlices())
    }

    private func octets(_ count: Int, from first: Int = 0) -> ByteBuffer {
        ByteBuffer(bytes: (first..<first + count).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    }

    @Test func nothingLeavesBeforeAFlush() {
        channel.write(octets(3 * RecordSlices.length), promise: nil)
        #expect(recorder.flushed.isEmpty)
        channel.flush()
        #expect(recorder.flushed.map(\.readableBytes) == Array(repeating: RecordSlices.length, count: 3))
    }

    @Test func whatIsShortGoesAsOne() {
        channel.write(octets(200), promise: nil)
        channel.write(octets(1000, from: 200), promise: nil)
        channel.flush()
        #expect(recorder.flushed == [octets(1200)])
    }

    @Test func aSliceIsFilledUp() {
        let length = RecordSlices.length
        channel.write(octets(200), promise: nil)
        channel.write(octets(length, from: 200), promise: nil)
        channel.flush()
        #expect(recorder.flushed == [octets(length), octets(200, from: length)])
    }

    @Test func aPromiseIsOfItsLastOctet() {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        var flushes: Int?
        let recorder = recorder
        promise.futureResult.assumeIsolated().whenSuccess { flushes = recorder.flushed.count }
        channel.write(octets(2 * RecordSlices.length + 1), promise: promise)
        channel.write(octets(1), promise: nil)
        #expect(flushes == nil)
        channel.flush()
        #expect(flushes == 3)
    }

    @Test func whatIsWrittenFromAFlushKeepsItsPlace() {
        let length = RecordSlices.length
        recorder.onFlush = { [channel] in
            channel.write(octets(10, from: 2 * length), promise: nil)
            channel.flush()
            channel.write(octets(5, from: 2 * length + 10), promise: nil)
        }
        channel.write(octets(2 * length), promise: nil)
        channel.flush()
        #expect(recorder.flushed == [octets(length), octets(length, from: length), octets(10, from: 2 * length)])
        channel.flush()
        #expect(recorder.flushed.last == octets(5, from: 2 * length + 10))
    }

    /// Whether it comes from the first flush of several, or from the only one.
    @Test(arguments: [10, 2 * RecordSlices.length]) func aCloseFromAFlushComesLast(count: Int) throws {
        recorder.onFlush = { [channel, recorder] in
            channel.writeAndFlush(octets(5, from: count), promise: nil)
            channel.close(mode: .all, promise: nil)
            #expect(recorder.closes.isEmpty)
        }
        channel.write(octets(count), promise: nil)
        channel.flush()
        #expect(recorder.flushed.last == octets(5, from: count))
        #expect(recorder.flushed.reduce(0) { $0 + $1.readableBytes } == count + 5)
        #expect(recorder.closes.count == 1)
    }

    @Test func whatWasNeverFlushedFailsWithTheChannel() throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        channel.write(octets(1), promise: promise)
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(throws: ChannelError.self) { try promise.futureResult.wait() }
        #expect(recorder.flushed.isEmpty)
    }

    @Test func noScheduleLosesOctetsOrGoesBeyondASlice() {
        var random = SplitMix(seed: 24)
        for _ in 0..<Rounds.usually(200) {
            let recorder = Recorder()
            let channel = EmbeddedChannel(handlers: [recorder, RecordSlices()])
            var written = 0
            for _ in 0..<random.next(below: 20) {
                let count = random.next(below: 3) == 0 ? random.next(below: 60_000) : random.next(below: 2000)
                channel.write(octets(count, from: written), promise: nil)
                written += count
                if random.next(below: 4) == 0 {
                    let first = written
                    written += 100
                    recorder.onFlush = { channel.writeAndFlush(octets(100, from: first), promise: nil) }
                }
                if random.next(below: 3) == 0 || recorder.onFlush != nil { channel.flush() }
            }
            channel.flush()
            var all = ByteBuffer()
            for var batch in recorder.flushed {
                #expect(batch.readableBytes <= RecordSlices.length)
                all.writeBuffer(&batch)
            }
            #expect(all == octets(written))
        }
    }
}
