// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Redis

/// Slots of concurrency policies: taken by the one question, kept up while a response is under way, given back at its end.
extension Gate {
    /// The slot was taken: it is kept up until it is released.
    func hold(_ slot: [UInt8]?, _ charge: Charge) -> Lease? {
        guard let slot else { return nil }
        let lease = Lease(name: slot, in: charge.slotBuckets)
        leases.hold(lease, at: eventLoop.now)
        return lease
    }

    /// The response is through, however: its slot is free for others.
    package func release(_ receipt: Receipt) {
        guard let lease = receipt.lease, leases.release(lease) else { return }
        // Whoever is refused from memory here needn't be any more.
        for bucket in lease.buckets { bucket.lastHeard = nil }
        sendRelease(of: lease.name, in: lease.buckets)
    }

    /// Has `onLoss` called if the slot is lost to others, because this process was silent for too long.
    package func watchSlot(of receipt: Receipt, onLoss: @escaping () -> Void) {
        receipt.lease?.onLoss = onLoss
    }

    /// The question may have been answered after all, and its slot taken.
    func abandonSlots(_ ask: Ask, _ charge: Charge) {
        guard let slot = ask.slot, charge.takesSlots else { return }
        sendRelease(of: slot, in: charge.slotBuckets)
    }

    func sendRelease(of slot: [UInt8], in buckets: [Bucket]) {
        guard isToldOfChanges else { return }
        var call = RedisCommand(Self.releaseScript, keyCount: buckets.count)
        for bucket in buckets { call.append(bytes: bucket.name) }
        call.append(bytes: slot)
        // What is lost here ends by itself.
        send(call, before: eventLoop.now + configuration.timeout) { _ = self.heard($0, of: Self.releaseScript) }
    }

    /// To be called every tick.
    func renewLeases(_ now: NIODeadline) {
        while let (set, slots, held) = leases.popDue(at: now) {
            guard outage == nil else { continue }
            for start in stride(from: 0, to: held.count, by: Leases.mostAtOnce) {
                renew(set, slots, held[start..<min(start + Leases.mostAtOnce, held.count)])
            }
        }
    }

    private func renew(_ set: [UInt8], _ slots: Int, _ held: ArraySlice<Lease>) {
        var call = RedisCommand(Self.renewScript, keyCount: 1)
        call.append(bytes: set)
        call.append(Int64(slots))
        for lease in held { call.append(bytes: lease.name) }
        send(call, before: eventLoop.now + configuration.timeout) { result in
            guard let answer = self.heard(result, of: Self.renewScript) else { return }
            for place in answer.dropFirst() {
                guard let index = place.integer, 0..<Int64(held.count) ~= index else { continue }
                self.lose(held[held.startIndex + Int(index)])
            }
        }
    }

    private func lose(_ lease: Lease) {
        let onLoss = lease.onLoss
        guard leases.release(lease) else { return }
        counters.slotsLost += 1
        // Others of its sets may still count it.
        sendRelease(of: lease.name, in: lease.buckets)
        onLoss?()
    }
}
