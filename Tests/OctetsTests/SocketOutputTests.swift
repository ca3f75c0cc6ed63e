// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOEmbedded
import NIOPosix
import Octets
import Testing

@Suite struct SocketOutputTests {
    /// Remembers what it was told, and what a channel was given rather than the kernel.
    private final class Writer: ChannelDuplexHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        let isOpened: Bool
        var output = SocketOutput()
        var context: ChannelHandlerContext?
        var becameWritable = 0

        init(isOpened: Bool = true) {
            self.isOpened = isOpened
        }

        func handlerAdded(context: ChannelHandlerContext) {
            self.context = context
        }

        func channelActive(context: ChannelHandlerContext) {
            if isOpened { output.open(context) }
        }

        func channelWritabilityChanged(context: ChannelHandlerContext) {
            if context.channel.isWritable { becameWritable += 1 }
        }

        func write(_ text: String) {
            output.yield()
            context?.write(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        }

        func writeAndFlush(_ buffer: ByteBuffer) {
            guard let context else { return }
            var rest = buffer
            output.send(&rest, context)
            if rest.readableBytes > 0 { context.writeAndFlush(wrapOutboundOut(rest), promise: nil) }
        }

        func writeAndFlush(_ text: String) {
            writeAndFlush(ByteBuffer(string: text))
        }
    }

    /// Counts what passes on its way to the channel.
    private final class Counter: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        var octets = 0

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            octets += unwrapOutboundIn(data).readableBytes
            context.write(data, promise: promise)
        }
    }

    /// Two sockets, one of them a channel's.
    private struct Pair {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let peer: CInt
        let writer: NIOLoopBound<Writer>
        let counter: NIOLoopBound<Counter>
        let channel: any Channel

        init() async throws {
            var sockets: [CInt] = [0, 0]
            try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &sockets) == 0)
            // Whatever the kernel gives otherwise.
            var room: CInt = 200_000
            try #require(
                setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<CInt>.size)) == 0)
            peer = sockets[1]
            let loop = loop
            (writer, counter) = try await loop.submit {
                (NIOLoopBound(Writer(), eventLoop: loop), NIOLoopBound(Counter(), eventLoop: loop))
            }.get()
            let (writer, counter) = (writer, counter)
            channel = try await ClientBootstrap(group: loop)
                .channelOption(.writeBufferWaterMark, value: .init(low: 16, high: 32))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers([counter.value, writer.value])
                    }
                }
                .withConnectedSocket(sockets[0]).get()
        }

        func perform<Result: Sendable>(_ work: @escaping @Sendable (Writer, Counter) -> Result) async throws -> Result {
            try await loop.submit { work(writer.value, counter.value) }.get()
        }

        /// So many octets, as they come.
        func read(_ count: Int) -> [UInt8] {
            var octets = [UInt8](repeating: 0, count: count)
            var have = 0
            while have < count {
                let got = octets.withUnsafeMutableBytes { storage in
                    let rest = UnsafeMutableRawBufferPointer(rebasing: storage[have...])
                    return LibC.read(peer, rest.baseAddress, rest.count)
                }
                guard got > 0 else { break }
                have += got
            }
            return Array(octets[..<have])
        }

        func end() async throws {
            try? await channel.close()
            close(peer)
        }
    }

    @Test func theKernelTakesWhatItHasRoomFor() async throws {
        let pair = try await Pair()
        let passed = try await pair.perform { writer, counter in
            writer.writeAndFlush("one ")
            writer.writeAndFlush("two")
            return counter.octets
        }
        #expect(passed == 0)
        #expect(pair.read(7) == Array("one two".utf8))
        try await pair.end()
    }

    @Test func whatWasWrittenBeforeGoesBefore() async throws {
        let pair = try await Pair()
        try await pair.perform { writer, _ in
            writer.write("one ")
            writer.writeAndFlush("two ")
            writer.writeAndFlush("three")
        }
        #expect(pair.read(13) == Array("one two three".utf8))
        // The channel holds nothing any more.
        let passed = try await pair.perform { writer, counter in
            counter.octets = 0
            writer.writeAndFlush("four")
            return counter.octets
        }
        #expect(passed == 0)
        #expect(pair.read(4) == Array("four".utf8))
        try await pair.end()
    }

    @Test func whatTheKernelDoesNotTakeWaitsInTheChannel() async throws {
        let pair = try await Pair()
        let large = ByteBuffer(bytes: (0..<4_000_000).map { UInt8(truncatingIfNeeded: $0 / 251) })
        let (passed, isWritable) = try await pair.perform { writer, counter in
            writer.writeAndFlush(large)
            writer.writeAndFlush("after")
            return (counter.octets, writer.context?.channel.isWritable)
        }
        #expect((5 + 1..<4_000_000).contains(passed))
        #expect(isWritable == false)
        #expect(pair.read(4_000_000) == Array(large.readableBytesView))
        #expect(pair.read(5) == Array("after".utf8))
        // What comes now goes straight again.
        while try await pair.perform({ writer, _ in writer.becameWritable }) == 0 {}
        let later = try await pair.perform { writer, counter in
            counter.octets = 0
            writer.writeAndFlush("later")
            return counter.octets
        }
        #expect(later == 0)
        #expect(pair.read(5) == Array("later".utf8))
        try await pair.end()
    }

    /// Its number may be another's by then.
    @Test func aDescriptorThatWasGivenBackIsWrittenToNoMore() async throws {
        let pair = try await Pair()
        let passed = try await pair.perform { writer, counter in
            writer.context?.close(promise: nil)
            writer.writeAndFlush("late")
            return counter.octets
        }
        #expect(passed == 4)
        #expect(pair.read(1) == [])
        close(pair.peer)
    }

    @Test func aPeerThatHasGoneIsMetByTheChannel() async throws {
        let pair = try await Pair()
        let peer = pair.peer
        let failure = try await pair.perform { writer, _ in
            close(peer)
            writer.writeAndFlush("to nobody")
            return writer.output.failure?.errnoCode
        }
        #expect(failure == EPIPE)
        try await pair.channel.closeFuture.get()
    }

    @Test(arguments: [true, false]) func aChannelWithoutASocketIsGivenAll(isOpened: Bool) throws {
        let writer = Writer(isOpened: isOpened)
        let channel = EmbeddedChannel(handler: writer)
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/nowhere")).wait()
        writer.write("one ")
        writer.writeAndFlush("two")
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "one "))
        #expect(try channel.readOutbound(as: ByteBuffer.self) == ByteBuffer(string: "two"))
        _ = try channel.finish()
    }
}
