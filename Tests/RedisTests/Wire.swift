// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Testing

@testable import Redis

/// A connection on an embedded channel: literal bytes out, literal bytes in, and who was answered what.
final class Wire {
    let channel = EmbeddedChannel()
    let handler: RedisChannelHandler
    /// In the order of the answers.
    private(set) var answers: [(name: String, result: Result<RedisReply, RedisError>)] = []
    private(set) var closures: [RedisError] = []
    /// Replies that came too late.
    private(set) var late: [String: RedisReply] = [:]
    private var pace = TickPace()

    init(longestReply: Int = 1024 * 1024, longestQueue: Int = 10_000) throws {
        handler = RedisChannelHandler(
            longestReply: longestReply, longestQueue: longestQueue, at: channel.embeddedEventLoop.now)
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 6379)).wait()
        handler.whenClosed { [weak self] in self?.closures.append($0) }
    }

    /// A channel whose loop never runs again keeps itself.
    deinit {
        if channel.isActive { channel.close(promise: nil) }
        channel.embeddedEventLoop.run()
    }

    var now: NIODeadline { channel.embeddedEventLoop.now }

    /// Sends a command, named by its words; `then` runs in its completion.
    func send(_ words: String, within timeout: TimeAmount = .milliseconds(50), then: @escaping () -> Void = {}) {
        let parts = words.split(separator: " ").map(String.init)
        var command = RedisCommand(parts[0])
        for part in parts.dropFirst() { command.append(part) }
        send(command, as: words, within: timeout, then: then)
    }

    func send(
        _ command: RedisCommand, as name: String, within timeout: TimeAmount = .milliseconds(50),
        then: @escaping () -> Void = {}
    ) {
        handler.send(command, deadline: now + timeout, late: { [weak self] in self?.late[name] = $0 }) {
            [weak self] result in
            self?.answers.append((name, result))
            then()
        }
    }

    /// What was written since the last call, one element a write.
    func written() throws -> [String] {
        channel.embeddedEventLoop.run()
        var writes: [String] = []
        while let write = try channel.readOutbound(as: ByteBuffer.self) { writes.append(String(buffer: write)) }
        return writes
    }

    func receive(_ text: String) throws {
        try channel.writeInbound(ByteBuffer(string: text))
    }

    func receive(_ bytes: some Sequence<UInt8>) throws {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
    }

    func serverCloses() {
        channel.close(promise: nil)
    }

    /// With the owner's tick, every 10 ms.
    func advance(by time: TimeAmount) {
        let end = now + time
        while now < end { standStill(for: min(.milliseconds(10), end - now)) }
    }

    /// Without a tick until the end of it.
    func standStill(for time: TimeAmount) {
        channel.embeddedEventLoop.advanceTime(by: time)
        let tick = pace.tick(at: now, having: .zero)
        if tick.excess > .zero { handler.shift(by: tick.excess) }
        if tick.expires { handler.expire(at: now) }
    }

    var replies: [String: RedisReply] {
        answers.reduce(into: [:]) { $0[$1.name] = try? $1.result.get() }
    }

    var failures: [String: RedisError] {
        answers.reduce(into: [:]) {
            if case .failure(let error) = $1.result { $0[$1.name] = error }
        }
    }

    var isOpen: Bool { channel.isActive }
}
