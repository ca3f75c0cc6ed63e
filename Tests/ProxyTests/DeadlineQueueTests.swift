// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Proxy

@Suite struct DeadlineQueueTests {
    private final class Owner {
        let name: Int
        init(_ name: Int) { self.name = name }
    }

    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    @Test func expiresInTheOrderOfArming() {
        var queue = DeadlineQueue<Owner>(duration: .seconds(1))
        for name in 0..<3 { _ = queue.arm(Owner(name), at: start + .milliseconds(Int64(name))) }
        #expect(queue.popExpired(at: start + .milliseconds(999)) == nil)
        #expect(queue.popExpired(at: start + .milliseconds(1001))?.name == 0)
        #expect(queue.popExpired(at: start + .milliseconds(1001))?.name == 1)
        #expect(queue.popExpired(at: start + .milliseconds(1001)) == nil)
        #expect(queue.popExpired(at: start + .milliseconds(1002))?.name == 2)
        #expect(queue.isEmpty)
    }

    @Test func rearmingMovesBehindTheOthers() {
        var queue = DeadlineQueue<Owner>(duration: .seconds(1))
        let first = queue.arm(Owner(0), at: start)
        _ = queue.arm(Owner(1), at: start)
        queue.rearm(first, at: start + .milliseconds(500))
        #expect(queue.popExpired(at: start + .seconds(1))?.name == 1)
        #expect(queue.popExpired(at: start + .seconds(1)) == nil)
        #expect(queue.popExpired(at: start + .milliseconds(1500))?.name == 0)
    }

    @Test func anotherDurationKeepsTheOrder() {
        var queue = DeadlineQueue<Owner>(duration: .seconds(10))
        _ = queue.arm(Owner(0), at: start)
        _ = queue.arm(Owner(1), at: start + .seconds(9))
        queue.change(to: .seconds(2), at: start + .seconds(9))
        _ = queue.arm(Owner(2), at: start + .seconds(9))
        // Nobody has more time left than is usual now, and who had less keeps it.
        #expect(queue.popExpired(at: start + .seconds(10))?.name == 0)
        #expect(queue.popExpired(at: start + .milliseconds(10_999)) == nil)
        #expect(queue.popExpired(at: start + .seconds(11))?.name == 1)
        #expect(queue.popExpired(at: start + .seconds(11))?.name == 2)
        let kept = queue.arm(Owner(3), at: start + .seconds(12))
        queue.change(to: .seconds(60), at: start + .seconds(13))
        #expect(queue.popExpired(at: start + .milliseconds(13_999)) == nil)
        queue.rearm(kept, at: start + .milliseconds(13_999))
        #expect(queue.popExpired(at: start + .seconds(14)) == nil)
        #expect(queue.popExpired(at: start + .milliseconds(73_999))?.name == 3)
    }

    /// The process stood still for a while.
    @Test func aShiftMovesAllThatAreArmed() {
        var queue = DeadlineQueue<Owner>(duration: .seconds(1))
        let first = queue.arm(Owner(0), at: start)
        _ = queue.arm(Owner(1), at: start + .milliseconds(10))
        queue.shift(by: .seconds(5))
        #expect(queue.popExpired(at: start + .milliseconds(5_999)) == nil)
        queue.rearm(first, at: start + .milliseconds(5_999))
        #expect(queue.popExpired(at: start + .milliseconds(6_010))?.name == 1)
        #expect(queue.popExpired(at: start + .milliseconds(6_998)) == nil)
        #expect(queue.popExpired(at: start + .milliseconds(6_999))?.name == 0)
        _ = queue.arm(Owner(2), at: start + .seconds(7))
        #expect(queue.popExpired(at: start + .seconds(8))?.name == 2)
    }

    @Test func aTokenOutlivedByItsEntryTouchesNobodyElse() {
        var queue = DeadlineQueue<Owner>(duration: .seconds(1))
        let old = queue.arm(Owner(0), at: start)
        queue.cancel(old)
        _ = queue.arm(Owner(1), at: start)
        queue.cancel(old)
        queue.rearm(old, at: start + .seconds(9))
        #expect(queue.popExpired(at: start + .seconds(1))?.name == 1)
    }

    /// Against a plain array, with random arming, re-arming, cancelling and time.
    @Test func agreesWithAListOnRandomSteps() {
        var random = SplitMix(seed: 7)
        var queue = DeadlineQueue<Owner>(duration: .milliseconds(50))
        var model: [(name: Int, deadline: NIODeadline, token: DeadlineQueue<Owner>.Token)] = []
        var now = start
        for name in 0..<20_000 {
            now = now + .milliseconds(Int64(random.next(below: 5)))
            switch random.next(below: 4) {
            case 0, 1:
                model.append((name, now + .milliseconds(50), queue.arm(Owner(name), at: now)))
            case 2 where !model.isEmpty:
                let index = random.next(below: model.count)
                var moved = model.remove(at: index)
                queue.rearm(moved.token, at: now)
                moved.deadline = now + .milliseconds(50)
                model.append(moved)
            case 3 where !model.isEmpty:
                let index = random.next(below: model.count)
                queue.cancel(model.remove(at: index).token)
            default: break
            }
            while let first = model.first, first.deadline <= now {
                #expect(queue.popExpired(at: now)?.name == first.name)
                model.removeFirst()
            }
            #expect(queue.popExpired(at: now) == nil)
        }
    }

    @Test func deadlinesOfSeveralDurationsExpireByThemselves() {
        var queues = DeadlineQueues<Owner>()
        _ = queues.arm(Owner(0), for: .seconds(9), at: start)
        let cancelled = queues.arm(Owner(1), for: .seconds(1), at: start)
        _ = queues.arm(Owner(2), for: .seconds(1), at: start + .milliseconds(1))
        queues.cancel(cancelled)
        #expect(queues.popExpired(at: start + .seconds(1)) == nil)
        #expect(queues.popExpired(at: start + .seconds(2))?.name == 2)
        queues.shift(by: .seconds(1))
        #expect(queues.popExpired(at: start + .seconds(9)) == nil)
        #expect(queues.popExpired(at: start + .seconds(10))?.name == 0)
        // What was taken out is stale.
        queues.cancel(cancelled)
        #expect(queues.popExpired(at: .distantFuture) == nil)
    }
}
