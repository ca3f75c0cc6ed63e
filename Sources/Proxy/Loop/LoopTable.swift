// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix

/// The loops of a process. The one thing about loops that crosses them, and it never changes.
struct LoopTable: Sendable {
    private let loops: [NIOLoopBound<Loop>]

    /// Makes what belongs to each event loop, on that loop.
    init(on eventLoops: [any EventLoop], make: @escaping @Sendable (any EventLoop, Int) -> Loop) async throws {
        var loops: [NIOLoopBound<Loop>] = []
        for (index, eventLoop) in eventLoops.enumerated() {
            loops.append(
                try await eventLoop.submit {
                    NIOLoopBound(make(eventLoop, index), eventLoop: eventLoop)
                }.get())
        }
        self.loops = loops
    }

    /// Gives an accepted connection to one of the loops. What is asked of that loop afterwards finds it there.
    func hand(_ descriptor: NIOBSDSocket.Handle, from entrance: Entrance?, inTurn turn: Int) {
        let bound = loops[turn % loops.count]
        bound.eventLoop.execute { bound.value.welcome(descriptor, from: entrance) }
    }

    var count: Int { loops.count }

    /// Asks the other loops one after the other to close an idle connection, until one has.
    func makeRoom(besides index: Int, _ then: @escaping @Sendable (Bool) -> Void) {
        makeRoom((1..<loops.count).map { (index + $0) % loops.count }, then)
    }

    private func makeRoom(_ rest: [Int], _ then: @escaping @Sendable (Bool) -> Void) {
        guard let first = rest.first else { return then(false) }
        let bound = loops[first]
        bound.eventLoop.execute {
            bound.value.makeRoom() ? then(true) : makeRoom(Array(rest.dropFirst()), then)
        }
    }

    /// Asks some of the loops, by their index, what they have counted.
    func report(_ asked: [Int], _ then: @escaping @Sendable (Int, LoopReport) -> Void) {
        for index in asked {
            let bound = loops[index]
            bound.eventLoop.execute { then(index, bound.value.report) }
        }
    }

    /// Runs `body` on every loop, and waits for nothing.
    func tell(_ body: @escaping @Sendable (Loop) -> Void) {
        for bound in loops { bound.eventLoop.execute { body(bound.value) } }
    }

    /// Runs `body` on every loop and collects what comes back.
    func map<Result: Sendable>(_ body: @escaping @Sendable (Loop) throws -> Result) async throws -> [Result] {
        var results: [Result] = []
        for bound in loops {
            results.append(try await bound.eventLoop.submit { try body(bound.value) }.get())
        }
        return results
    }

    /// Runs `body` on every loop and waits for what each returns.
    func wait(_ body: @escaping @Sendable (Loop) -> EventLoopFuture<Void>) async throws {
        let pending = loops.map { bound in bound.eventLoop.flatSubmit { body(bound.value) } }
        for future in pending { try await future.get() }
    }
}
