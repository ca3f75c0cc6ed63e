// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
@testable import Octets

@Suite struct BoundedCacheTests {
    @Test func dropsWhatWasLongestUnused() {
        var cache = BoundedCache<Int, String>(capacity: 3)
        for key in 1...3 { cache.insert("\(key)", for: key) }
        _ = cache.use(1)
        cache.insert("4", for: 4)
        let left = (1...4).map { cache.use($0) }
        #expect(left == ["1", nil, "3", "4"])
        #expect(cache.count == 3)
    }

    @Test func hasAQuarterMoreRoomThanItNeeds() {
        var cache = BoundedCache<Int, Int>(capacity: 1_000_000)
        for key in 0..<1_000 { cache.insert(key, for: key) }
        #expect(cache.slots.capacity <= 1_280)
    }

    /// Against the plainest of models, a list in order of use.
    @Test(arguments: [1, 2, 3, 7, 50])
    func agreesWithAListInOrderOfUse(capacity: Int) {
        var dice = Dice(seed: UInt64(capacity))
        var cache = BoundedCache<Int, Int>(capacity: capacity)
        var model: [(key: Int, value: Int)] = []
        for step in 0..<20_000 {
            let key = Int.random(in: 0..<(capacity * 2), using: &dice)
            let index = model.firstIndex { $0.key == key }
            switch Int.random(in: 0..<5, using: &dice) {
            case 0, 1:
                if let index { model.remove(at: index) }
                model.append((key, step))
                if model.count > capacity { model.removeFirst() }
                cache.insert(step, for: key)
            case 2, 3:
                let value = cache.use(key)
                #expect(value == index.map { model[$0].value })
                if let index { model.append(model.remove(at: index)) }
            default:
                if let index { model.remove(at: index) }
                cache.remove(key)
            }
            #expect(cache.count == model.count)
        }
    }
}
