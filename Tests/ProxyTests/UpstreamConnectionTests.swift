// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import NIOEmbedded
import Testing

@testable import Proxy

/// Literal octets of a handler, and what comes of them.
@Suite struct UpstreamConnectionTests {
    enum End { case none, fin, reset }

    struct Answer: CustomTestStringConvertible, Sendable {
        let octets: String
        let method: HTTP1.Method
        let end: End
        let heard: [String]

        init(_ octets: String, to method: HTTP1.Method = .get, then end: End = .none, _ heard: String...) {
            self.octets = octets.replacing("\n", with: "\r\n")
            self.method = method
            self.end = end
            self.heard = heard
        }

        var testDescription: String { "\(method) \(end) \(octets.prefix(60))".debugDescription }
    }

    private static let answers = [
        // Bodies by length.
        Answer("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "began 200", "sent hello", "ended, reusable"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "began 200, spent", "ended, reusable"),
        Answer("HTTP/1.1 200\nContent-Length: 0\n\n", "began 200, spent", "ended, reusable"),
        Answer("HTTP/1.1 204 No Content\n\n", "began 204, spent", "ended, reusable"),
        Answer("HTTP/1.1 304 Not Modified\n\n", "began 304, spent", "ended, reusable"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 1\n\nx", "began 200", "sent x", "ended, reusable"),
        // What has no body may be followed by one.
        Answer("HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n", "began 304", "ended"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 5\n\n", to: .head, "began 200", "ended"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 0\n\n", to: .head, "began 200, spent", "ended, reusable"),
        // Chunks.
        Answer(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n6\n world\n0\n\n", "began 200",
            "sent hello world",
            "ended, reusable"),
        Answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n", "began 200", "ended, reusable"),
        Answer(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1\nx\n0\nDigest: y\n\n", "began 200", "sent x",
            "ended, reusable, Digest: y\r\n"),
        // Up to the end of the connection.
        Answer("HTTP/1.1 200 OK\n\nhello", "began 200", "sent hello"),
        Answer("HTTP/1.1 200 OK\n\nhello", then: .fin, "began 200", "sent hello", "ended"),
        Answer("HTTP/1.1 200 OK\n\n", then: .fin, "began 200", "ended"),
        Answer("HTTP/1.1 200 OK\n\nhello", then: .reset, "began 200", "sent hello", "closed"),
        // Connections that aren't kept.
        Answer("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 1\n\nx", "began 200", "sent x", "ended"),
        Answer("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 0\n\n", "began 200", "ended"),
        Answer("HTTP/1.0 200 OK\nContent-Length: 1\n\nx", "began 200", "sent x", "ended"),
        Answer("HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 1\n\nx", "began 200", "sent x", "ended"),
        // Interim heads.
        Answer("HTTP/1.1 103 Early Hints\nLink: </x>\n\n", "informed 103"),
        Answer(
            "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\n\nHTTP/1.1 204 No Content\n\n", "informed 100",
            "informed 103", "began 204, spent", "ended, reusable"),
        Answer(
            "HTTP/1.1 102 Processing\nConnection: close\n\nHTTP/1.1 204 No Content\n\n",
            "informed 102", "began 204, spent", "ended, reusable"),
        Answer("HTTP/1.1 103 Early Hints\n\n", then: .fin, "informed 103", "closed"),
        // A switch.
        Answer("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\n\nraw", "switched 101", "sent raw"),
        Answer("HTTP/1.1 101 Switching Protocols\n\nraw", then: .fin, "switched 101", "sent raw", "ended"),
        Answer("HTTP/1.1 101 Switching Protocols\n\n", then: .reset, "switched 101", "closed"),
        // What is no response.
        Answer("SSH-2.0-OpenSSH_9.6\n", "failed, upstreamInvalid"),
        Answer("HTTP/2.0 200 OK\n\n", "failed, upstreamInvalid"),
        Answer("HTTP/1.1 99 Low\n\n", "failed, upstreamInvalid"),
        Answer("HTTP/1.1 200 OK\nno colon\n\n", "failed, upstreamInvalid"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n", "failed, upstreamInvalid"),
        Answer("HTTP/1.1 200 OK\nX: \(String(repeating: "x", count: 1024))\n\n", "failed, upstreamInvalid"),
        Answer(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\nzz\n", "began 200", "sent hello",
            "failed, upstreamInvalid"),
        Answer("HTTP/1.1 103 Early Hints\n\nrubbish\n", "informed 103", "failed, upstreamInvalid"),
        // Ends that come too early.
        Answer("", then: .fin, "closed"),
        Answer("", then: .reset, "closed"),
        Answer("H", then: .fin, "failed, upstreamInvalid"),
        Answer("HTTP/1.1 200 OK\nContent-Le", then: .reset, "failed, upstreamInvalid"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 5\n\n", then: .fin, "began 200", "closed"),
        Answer("HTTP/1.1 200 OK\nContent-Length: 5\n\nhell", then: .fin, "began 200", "sent hell", "closed"),
        Answer(
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n", then: .fin, "began 200", "sent hello",
            "closed"),
    ]

    @Test(arguments: answers, [nil, 1, 2, 7])
    func anAnswerIsReadHoweverItIsCut(answer: Answer, size: Int?) throws {
        let bench = try UpstreamBench()
        let request = bench.ask(method: answer.method)
        let line = try #require(bench.lines.first)
        try line.send(answer.octets, by: size)
        switch answer.end {
        case .none: break
        case .fin: line.end()
        case .reset: line.reset()
        }
        #expect(request.heard == ["new"] + answer.heard)
        // It is kept as long as the receiver has it, or where it is as good as new.
        let last = answer.heard.last ?? ""
        let isOver = last.hasPrefix("ended") || last.hasPrefix("failed") || last == "closed"
        let isReusable = last.hasPrefix("ended, reusable")
        #expect(line.isOpen == (!isOver || isReusable))
        #expect(bench.ask(of: "acme/b").heard == [isReusable ? "reused" : "new"])
    }

    /// Whether they come with the answer or after it.
    @Test(arguments: [nil, 1])
    func octetsBehindAnAnswerEndTheConnection(size: Int?) throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let line = try #require(bench.lines.first)
        try line.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 408 Bye\r\n\r\n", by: size)
        #expect(request.heard == ["new", "began 200", "sent x", size == nil ? "ended" : "ended, reusable"])
        #expect(!line.isOpen)
        #expect(bench.ask().heard == ["new"])
    }

    @Test func anIdleOneThatEndsIsForgotten() throws {
        let bench = try UpstreamBench()
        _ = bench.ask()
        try bench.lines[0].send("HTTP/1.1 204 No Content\r\n\r\n")
        bench.lines[0].end()
        #expect(bench.ask().heard == ["new"])
        #expect(bench.lines.count == 2)
    }

    @Test func anIdleOneGrowsOld() throws {
        let bench = try UpstreamBench()
        _ = bench.ask()
        try bench.lines[0].send("HTTP/1.1 204 No Content\r\n\r\n")
        bench.advance(by: .milliseconds(59_999))
        #expect(bench.lines[0].isOpen)
        bench.advance(by: .milliseconds(1))
        #expect(!bench.lines[0].isOpen)
    }

    /// A receiver may have its next answer before it returns from the last one.
    @Test func oneConnectionCarriesOneAnswerAfterTheOther() throws {
        let bench = try UpstreamBench()
        let first = bench.ask("1")
        var second: UpstreamRequest?
        first.then["ended, reusable"] = { _ in second = bench.ask("2", of: "acme/b", .new) }
        try bench.lines[0].send("HTTP/1.1 204 No Content\r\n\r\n")
        #expect(second?.heard == ["new"])
        let third = bench.ask("3", of: "acme/c")
        #expect(third.heard == ["reused"])
        try bench.lines[0].send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
        #expect(third.heard == ["reused", "began 200", "sent x", "ended, reusable"])
        #expect(first.heard.count == 3)
    }

    /// A stalled client is to hold a message of 50 octets by little more than that, though TLS reads it into 32 KiB.
    @Test(arguments: [true, false])
    func littleIsHeldByLittle(readsLargeBuffers: Bool) throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let line = bench.lines[0]
        try #require(request.connection).readsLargeBuffers = readsLargeBuffers
        try line.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        let counts = [50, 1000, 8192, 32_768]
        for count in counts {
            let before = request.storage
            var buffer = ByteBufferAllocator().buffer(capacity: 32_768)
            buffer.writeRepeatingByte(UInt8(ascii: "x"), count: count)
            try line.channel.writeInbound(buffer)
            let most = readsLargeBuffers ? max(4 * count, 64) : 32_768
            #expect((count...most).contains(request.storage - before))
        }
        let heard = try #require(request.heard.last)
        #expect(heard.dropFirst("sent ".count).count == counts.reduce(0, +))
    }

    // MARK: What its owner does

    @Test(arguments: ["informed 103", "began 200", "sent hel"])
    func nothingIsToldAfterTheOwnerHasClosed(moment: String) throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        request.then[moment] = { $0.connection?.close() }
        try bench.lines[0].send(
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
        #expect(request.heard.last == moment)
        #expect(!bench.lines[0].isOpen)
    }

    @Test func itIsReadAsFastAsItsOwnerTakes() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let line = bench.lines[0]
        let before = line.gauge.reads
        request.isWritable = false
        line.channel.read()
        #expect(line.gauge.reads == before)
        request.connection?.resumeReading()
        #expect(line.gauge.reads == before + 1)
        request.connection?.resumeReading()
        #expect(line.gauge.reads == before + 1)
        line.channel.read()
        // Nobody is in the way of an idle one.
        request.connection?.detach()
        #expect(line.gauge.reads == before + 2)
        line.channel.read()
        #expect(line.gauge.reads == before + 3)
    }

    @Test func whatIsWrittenGoesOut() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let connection = try #require(request.connection)
        connection.write(ByteBuffer(string: "GET / "))
        connection.write(ByteBuffer(string: "HTTP/1.1\r\n\r\n"))
        #expect(try bench.lines[0].taken() == "")
        connection.flush()
        #expect(try bench.lines[0].taken() == "GET / HTTP/1.1\r\n\r\n")
    }

    @Test func theOwnerLearnsWhenMoreMayBeWritten() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let channel = bench.lines[0].channel
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(request.heard == ["new"])
        #expect(request.connection?.isWritable == false)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(request.heard == ["new", "takes"])
    }

    @Test func theOwnerFlushesOnceARead() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        try bench.lines[0].send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        #expect(request.flushes == 1)
        try bench.lines[0].send("l")
        #expect(request.flushes == 2)
    }

    @Test func anEndWaitsForWhatWasWritten() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let (line, connection) = (bench.lines[0], try #require(request.connection))
        line.gauge.holdsWrites = true
        connection.write(ByteBuffer(string: "last words"))
        connection.hangUp(within: .seconds(1))
        connection.hangUp(within: .seconds(1))
        connection.close()
        #expect(line.isOpen && !line.gauge.isOutputClosed)
        line.letGo()
        // Its other side is read to the end.
        #expect(line.isOpen && line.gauge.isOutputClosed)
        line.end()
        bench.advance(by: .seconds(1))
        #expect(!bench.pool.awaitsEnds)
        #expect(request.heard == ["new"])
    }

    /// To close with something unread would be a reset.
    @Test func whoHangsUpReadsWhatNobodyTook() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let line = bench.lines[0]
        request.isWritable = false
        line.channel.read()
        let before = line.gauge.reads
        request.connection?.hangUp(within: .seconds(1))
        #expect(line.gauge.reads == before + 1)
        try line.send("nobody listens")
        line.channel.read()
        #expect(line.gauge.reads == before + 2)
        #expect(request.heard == ["new"])
    }

    @Test func aHandlerThatSaysNothingMoreIsClosedOn() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let line = bench.lines[0]
        request.connection?.hangUp(within: .seconds(30))
        try line.send("still at it")
        bench.advance(by: .seconds(1))
        #expect(line.isOpen)
        bench.advance(by: .milliseconds(999))
        #expect(line.isOpen)
        bench.advance(by: .milliseconds(1))
        #expect(!line.isOpen)
        #expect(!bench.pool.awaitsEnds)
    }

    @Test func anEndThatTakesTooLongIsCut() throws {
        let bench = try UpstreamBench()
        let request = bench.ask()
        let line = bench.lines[0]
        line.gauge.holdsWrites = true
        request.connection?.write(ByteBuffer(string: "last words"))
        request.connection?.hangUp(within: .seconds(2))
        for _ in 0..<2 {
            bench.advance(by: .seconds(1))
            #expect(line.isOpen)
        }
        bench.advance(by: .milliseconds(999))
        bench.pool.shift(by: .milliseconds(500))
        bench.advance(by: .milliseconds(1))
        #expect(line.isOpen)
        bench.advance(by: .milliseconds(500))
        #expect(!line.isOpen)
    }
}
