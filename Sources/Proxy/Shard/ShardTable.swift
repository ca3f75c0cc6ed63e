// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Settings
import Telemetry

/// Which shard belongs to which loop. The one thing about shards that crosses loops, and it never changes.
struct ShardTable: Sendable {
    private let shards: [NIOLoopBound<Shard>]

    /// Makes each shard on its own loop.
    init(loops: [any EventLoop], make: @escaping @Sendable (any EventLoop, Int) -> Shard) async throws {
        var shards: [NIOLoopBound<Shard>] = []
        for (index, loop) in loops.enumerated() {
            shards.append(
                try await loop.submit {
                    NIOLoopBound(make(loop, index), eventLoop: loop)
                }.get())
        }
        self.shards = shards
    }

    /// Gives an accepted connection to one of the loops. What is asked of that loop afterwards finds it there.
    func hand(_ descriptor: NIOBSDSocket.Handle, inTurn turn: Int) {
        let bound = shards[turn % shards.count]
        bound.eventLoop.execute { bound.value.welcome(descriptor) }
    }

    var count: Int { shards.count }

    /// Asks the other loops one after the other to close an idle connection, until one has.
    func makeRoom(besides index: Int, _ then: @escaping @Sendable (Bool) -> Void) {
        makeRoom((1..<shards.count).map { (index + $0) % shards.count }, then)
    }

    private func makeRoom(_ rest: [Int], _ then: @escaping @Sendable (Bool) -> Void) {
        guard let first = rest.first else { return then(false) }
        let bound = shards[first]
        bound.eventLoop.execute {
            bound.value.makeRoom() ? then(true) : makeRoom(Array(rest.dropFirst()), then)
        }
    }

    /// Runs `body` on every loop, and waits for nothing.
    func tell(_ body: @escaping @Sendable (Shard) -> Void) {
        for bound in shards { bound.eventLoop.execute { body(bound.value) } }
    }

    /// Runs `body` on every loop and collects what comes back.
    func map<Result: Sendable>(_ body: @escaping @Sendable (Shard) throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for bound in shards {
            results.append(try await bound.eventLoop.submit { try body(bound.value) }.get())
        }
        return results
    }

    /// Runs `body` on every loop and waits for what each returns.
    func wait(_ body: @escaping @Sendable (Shard) -> EventLoopFuture<Void>) async throws {
        let pending = shards.map { bound in bound.eventLoop.flatSubmit { body(bound.value) } }
        for future in pending { try await future.get() }
    }
}
