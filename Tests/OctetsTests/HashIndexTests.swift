// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
@testable import Octets

@Suite struct HashIndexTests {
    /// Against a dictionary, with hashes that are all different, of five homes, or at the end of the table; positions move as
    /// they do in an array that closes its gaps.
    @Test(arguments: [UInt32.max, 5, 1])
    func agreesWithADictionary(hashes: UInt32) {
        func hash(_ key: Int) -> HashIndex.Hash {
            HashIndex.Hash(bits: hashes == .max ? 2_654_435_761 &* UInt32(key) : .max - UInt32(key) % hashes)
        }
        var dice = Dice(seed: UInt64(hashes))
        var index = HashIndex()
        var model: [Int: Int] = [:]
        var keys: [Int] = []
        for step in 0..<20_000 {
            let key = Int.random(in: 0..<200, using: &dice)
            let found = index.find(hash(key)) { keys[$0] == key }
            #expect(found == model[key])
            // It grows and shrinks in turn.
            if let position = found, step % 2_000 >= 1_000 || step % 3 == 0 {
                index.remove(hash(key), from: position)
                let last = keys.removeLast()
                model[key] = nil
                if last != key {
                    keys[position] = last
                    model[last] = position
                    index.move(hash(last), from: keys.count, to: position)
                }
            } else if found == nil, step % 2_000 < 1_000 {
                index.insert(hash(key), at: keys.count)
                model[key] = keys.count
                keys.append(key)
            }
            #expect(index.count == keys.count)
        }
        for key in 0..<200 { #expect(index.find(hash(key)) { keys[$0] == key } == model[key]) }
        index.removeAll()
        #expect(index.count == 0)
        for key in 0..<200 { #expect(index.find(hash(key)) { _ in true } == nil) }
    }

    @Test func takesAFewOctetsAKey() {
        var index = HashIndex()
        for key in 0..<1_000 { index.insert(HashIndex.Hash(of: key), at: key) }
        #expect(index.places.count == 2_048)
        #expect(MemoryLayout.stride(ofValue: index.places[0]) == 8)
    }
}
