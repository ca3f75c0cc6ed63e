// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore

/// The watches of a kind that are at work in this process: one a key, for as long as somebody follows by it.
struct Watches<Key: Hashable & Sendable, Watch: AnyObject & Sendable>: Sendable {
    private let running = NIOLockedValueBox<[Key: Watch]>([:])

    subscript(key: Key) -> Watch? { running.withLockedValue { $0[key] } }

    /// - Parameter join: is called before anybody can have left.
    func join<Joined>(
        _ key: Key, making make: () -> Watch, _ join: (Watch) -> Joined
    ) -> (watch: Watch, joined: Joined) {
        running.withLockedValue { running in
            let watch = running[key] ?? make()
            running[key] = watch
            return (watch, join(watch))
        }
    }

    /// - Parameter leave: is called before anybody can have joined, and tells whether that was the last one.
    /// - Returns: whether the watch has nobody left.
    func leave(_ key: Key, _ watch: Watch, _ leave: () -> Bool) -> Bool {
        running.withLockedValue { running in
            guard leave() else { return false }
            if running[key] === watch { running[key] = nil }
            return true
        }
    }
}

/// What a watch has published, and who is told when that is something else.
struct Followers<Answer: Sendable>: Sendable {
    struct Follower: Sendable {
        fileprivate let eventLoop: any EventLoop
        fileprivate let look: @Sendable () -> Void

        func tell() {
            eventLoop.execute { look() }
        }
    }

    /// Nil while it is looked for.
    private(set) var answer: Result<Answer, RedisError>?
    private var followers: [Int: Follower] = [:]
    private var last = 0

    /// - Parameter look: is called on the loop.
    mutating func join(
        on eventLoop: any EventLoop, _ look: @escaping @Sendable () -> Void
    ) -> (follower: Int, isFirst: Bool) {
        last += 1
        followers[last] = Follower(eventLoop: eventLoop, look: look)
        return (last, followers.count == 1)
    }

    /// - Returns: whether that was the last one.
    mutating func leave(_ follower: Int) -> Bool {
        followers[follower] = nil
        return followers.isEmpty
    }

    /// - Returns: who is to be told.
    mutating func publish(_ answer: Result<Answer, RedisError>) -> [Follower] {
        self.answer = answer
        return Array(followers.values)
    }
}
