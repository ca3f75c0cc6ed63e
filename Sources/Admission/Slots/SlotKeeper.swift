// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis

/// Slots of concurrency policies: taken by the one question, kept up while a response is under way, given back at its end.
final class SlotKeeper {
    private let store: Store
    private var held = HeldSlots()
    private var names: SlotNames
    /// Slots lost to others while nothing was heard of this process.
    private(set) var lost = 0

    /// - Parameter seed: of the names, which no other loop may give.
    init(on store: Store, seed: UInt64) {
        self.store = store
        names = SlotNames(seed: seed)
    }

    /// What a request takes in concurrency policies, the same however often it asks.
    func newName() -> [UInt8] { names.next() }

    /// Slots of one set that this loop holds.
    func count(in bucket: Bucket) -> Int { held.count(in: bucket) }

    /// The slot was taken: it is kept up until it is released.
    func hold(_ name: [UInt8]?, _ charge: Charge) -> HeldSlot? {
        guard let name else { return nil }
        let slot = HeldSlot(name: name, in: charge.slotBuckets)
        held.hold(slot, at: store.eventLoop.now)
        return slot
    }

    /// The response is through, however: its slot is free for others.
    func release(_ slot: HeldSlot) {
        guard held.release(slot) else { return }
        // Whoever is refused from memory here needn't be any more.
        for bucket in slot.buckets { bucket.lastHeard = nil }
        giveBack(slot.name, in: slot.buckets)
    }

    /// The question may have been answered after all and its slot taken, or it was taken for nothing.
    func abandon(_ name: [UInt8]?, _ charge: Charge) {
        guard let name, charge.takesSlots else { return }
        giveBack(name, in: charge.slotBuckets)
    }

    private func giveBack(_ name: [UInt8], in buckets: [Bucket]) {
        guard buckets.count > 1 else { return release(name, from: buckets) }
        // An organization's sets lie elsewhere than an address' and the common ones.
        var rest = buckets
        while let first = rest.first.map({ HashSlot(of: $0.name) }) {
            release(name, from: rest.filter { HashSlot(of: $0.name) == first })
            rest.removeAll { HashSlot(of: $0.name) == first }
        }
    }

    private func release(_ name: [UInt8], from buckets: [Bucket]) {
        guard let first = buckets.first, case let link = store.link(of: first), link.isOurs else { return }
        var call = RedisCommand(RedisScript.release, keyCount: buckets.count)
        for bucket in buckets { call.append(bytes: bucket.name) }
        call.append(bytes: name)
        // What is lost here ends by itself.
        link.send(call, before: link.eventLoop.now + link.timeout) { _ = link.hear($0, of: RedisScript.release) }
    }

    /// To be called every tick.
    func renew(_ now: NIODeadline) {
        while let (set, slots, held) = held.popDue(at: now) {
            let link = store.link(of: set)
            guard link.outage == nil else { continue }
            for start in stride(from: 0, to: held.count, by: HeldSlots.mostAtOnce) {
                renew(set, slots, held[start..<min(start + HeldSlots.mostAtOnce, held.count)], by: link)
            }
        }
    }

    private func renew(_ set: [UInt8], _ slots: Int, _ held: ArraySlice<HeldSlot>, by link: StoreLink) {
        var call = RedisCommand(RedisScript.renew, keyCount: 1)
        call.append(bytes: set)
        call.append(Int64(slots))
        for slot in held { call.append(bytes: slot.name) }
        link.send(call, before: link.eventLoop.now + link.timeout) { result in
            guard let answer = link.answer(result, of: RedisScript.renew) else { return }
            for place in answer.dropFirst() {
                guard let index = place.integer, 0..<Int64(held.count) ~= index else { continue }
                self.lose(held[held.startIndex + Int(index)])
            }
        }
    }

    private func lose(_ slot: HeldSlot) {
        let onLoss = slot.onLoss
        guard held.release(slot) else { return }
        lost += 1
        // Others of its sets may still count it.
        giveBack(slot.name, in: slot.buckets)
        onLoss?()
    }
}
