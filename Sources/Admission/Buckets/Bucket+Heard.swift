// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore

/// What a bucket held when Redis last said so: enough to refuse here what Redis would refuse, so that a flood of denied calls
/// costs it one refused call a token, not one a call (docs/design.md, "Limits").
///
/// An object, since few buckets have one, and each call that is denied here notes something in it.
final class Heard {
    /// Units of a rate, tokens of a quota, slots.
    var owed: Int
    /// Redis' clock then.
    var at: Int
    /// When the state expires, by Redis' clock, if that is before all of it has leaked.
    var expiresAt: Int?
    /// Between these two, by this machine, Redis looked.
    var askedAt: NIODeadline
    var answeredAt: NIODeadline
    /// The answer itself denied: then it isn't asked again before the wait is over for who got it, or a flood would ask again
    /// and again in the time that a question takes.
    var isDenial: Bool
    /// When somebody was last denied by this bucket, by Redis or here.
    var deniedAt: NIODeadline
    /// When somebody was last denied by it or by one beside it.
    var witnessedAt: NIODeadline

    init(
        owed: Int, at: Int, expiresAt: Int?, askedAt: NIODeadline, answeredAt: NIODeadline, isDenial: Bool,
        deniedAt: NIODeadline, witnessedAt: NIODeadline
    ) {
        self.owed = owed
        self.at = at
        self.expiresAt = expiresAt
        self.askedAt = askedAt
        self.answeredAt = answeredAt
        self.isDenial = isDenial
        self.deniedAt = deniedAt
        self.witnessedAt = witnessedAt
    }

    /// Another of the same, which goes its own way.
    convenience init(like other: Heard) {
        self.init(
            owed: other.owed, at: other.at, expiresAt: other.expiresAt, askedAt: other.askedAt,
            answeredAt: other.answeredAt, isDenial: other.isDenial, deniedAt: other.deniedAt,
            witnessedAt: other.witnessedAt)
    }

    /// Microseconds of Redis' clock at least and at most, at an instant of this machine's.
    func earliest(at now: NIODeadline) -> Int { at + Int(max(0, (now - answeredAt).nanoseconds) / 1_000) }
    func latest(at now: NIODeadline) -> Int { at + Int(max(0, (now - askedAt).nanoseconds) / 1_000) }
}

extension Bucket {
    /// Longest time that an answer is believed without a new one, so that a refund, a reset or a change shows soon.
    private static let longestBelief = TimeAmount.seconds(1)
    /// A slot may come free any time.
    private static let longestBeliefInSlots = TimeAmount.milliseconds(50)
    /// What is told to who finds no slot.
    static let slotRetryMicroseconds = 1_000_000

    private var longestBelief: TimeAmount {
        if case .slots = meter { Self.longestBeliefInSlots } else { Self.longestBelief }
    }

    /// A denial's answer, in which this bucket had part.
    ///
    /// - Parameters:
    ///   - wasDenied: by this bucket.
    ///   - expiry: µs until the state expires, if that is before all of it has leaked.
    func hear(
        _ owed: Int, at nowMicroseconds: Int, askedAt: NIODeadline, answeredAt: NIODeadline, wasDenied: Bool,
        expiry: Int? = nil
    ) {
        lastHeard = Heard(
            owed: owed, at: nowMicroseconds, expiresAt: expiry.map { nowMicroseconds + $0 }, askedAt: askedAt,
            answeredAt: answeredAt,
            isDenial: wasDenied, deniedAt: wasDenied ? answeredAt : lastHeard?.deniedAt ?? .uptimeNanoseconds(0),
            witnessedAt: answeredAt)
    }

    /// An admission's answer, which matters only while there are denials.
    ///
    /// - Parameter expiry: as in `hear`; what it only looked at may be others' writing.
    func hearOfAdmission(
        _ owed: Int, at nowMicroseconds: Int, askedAt: NIODeadline, answeredAt: NIODeadline, expiry: Int? = nil
    ) {
        guard let heard = lastHeard else { return }
        guard answeredAt - heard.witnessedAt <= Self.longestBelief else {
            lastHeard = nil
            return
        }
        (heard.owed, heard.at, heard.askedAt, heard.answeredAt) = (owed, nowMicroseconds, askedAt, answeredAt)
        heard.expiresAt = expiry.map { nowMicroseconds + $0 }
        heard.isDenial = false
    }

    /// Whether it has no room for `cost`, as far as is known here.
    func refuses(_ cost: Int, at now: NIODeadline) -> Bool {
        lastHeard.flatMap { refusal(of: cost, after: $0, at: now) } != nil
    }

    /// What is known here now; nil where nothing is.
    ///
    /// - Returns:
    ///   - wait: µs until `cost` may be asked for again; nil if it may now.
    ///   - owed: units of a rate, tokens of a quota, slots.
    ///   - expiry: µs until the state expires, if that is before all of it has leaked.
    func remembered(asking cost: Int, at now: NIODeadline) -> (wait: Int?, owed: Int, expiry: Int?)? {
        guard let heard = lastHeard, let owed = owed(after: heard, at: now) else { return nil }
        let expiry = heard.expiresAt.map { max(1, $0 - heard.earliest(at: now)) }
        return (refusal(of: cost, after: heard, at: now), owed, expiry)
    }

    /// Microseconds until `cost` may be asked for again; nil if it may now. What others took or gave back since the last
    /// answer isn't known, so an answer is believed for a second; while a question is under way it is that one's business
    /// to find out.
    private func refusal(of cost: Int, after heard: Heard, at now: NIODeadline) -> Int? {
        guard cost > 0 else { return nil }
        // Where nobody was denied for a while the flood is over.
        guard now - heard.deniedAt <= longestBelief || underWay > 0 else { return nil }
        guard now - heard.askedAt < longestBelief || underWay > 0 else { return nil }
        return wait(of: cost, after: heard, at: now)
    }

    /// Until there is room for `cost` beside what is under way, if there is none now; by the clock that lags, so that who waits
    /// that long passes.
    private func wait(of cost: Int, after heard: Heard, at now: NIODeadline) -> Int? {
        switch meter {
        case .nothing: return nil
        case .rate(let shape):
            let wanted = shape.units(ofCost: underWay) + shape.units(ofCost: cost) - shape.capacityUnits
            func lacking(at time: Int) -> Int {
                if let expiresAt = heard.expiresAt, time >= expiresAt { return wanted }
                let (leaked, tooMuch) = (time - heard.at).multipliedReportingOverflow(by: shape.unitsPerMicrosecond)
                return (tooMuch ? 0 : max(0, heard.owed - leaked)) + wanted
            }
            let time = heard.isDenial ? heard.earliest(at: now) : heard.latest(at: now)
            guard lacking(at: time) > 0 else { return nil }
            let earliest = heard.earliest(at: now)
            let wait = shape.leakMicroseconds(max(1, lacking(at: earliest)))
            guard let expiresAt = heard.expiresAt, expiresAt > earliest else { return wait }
            return min(wait, expiresAt - earliest + shape.leakMicroseconds(max(0, wanted)))
        case .quota(let quota):
            let window = counter(of: quota, at: heard.at).window
            guard heard.owed + underWay + cost > quota.count, window.contains(heard.latest(at: now)) else { return nil }
            return max(1, window.end - heard.earliest(at: now))
        case .slots(let slots):
            return heard.owed + underWay + cost > slots ? Self.slotRetryMicroseconds : nil
        }
    }

    private func owed(after heard: Heard, at now: NIODeadline) -> Int? {
        switch meter {
        case .nothing: return nil
        case .rate(let shape):
            var bucket = TokenBucket(shape, allowsDebt: allowsDebt)
            let earliest = heard.earliest(at: now)
            if let expiresAt = heard.expiresAt, earliest >= expiresAt { return 0 }
            bucket.charge(to: heard.owed, at: heard.at)
            return bucket.backlog(at: earliest)
        case .quota, .slots: return heard.owed
        }
    }
}
