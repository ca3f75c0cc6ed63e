// SPDX-License-Identifier: Apache-2.0

import Limits
import NIOCore
import Octets

/// How many keys that aren't known here may be looked up, so that junk costs Redis little (docs/design.md, "Limits").
///
/// 1. A look-up is charged when its key turns out to be none, to its address block and to all together. Until then it is under
///    way, and what is under way has its room: good keys use up nothing, however many come at once.
/// 2. Who finds no room waits for it. Blocks that have sent junk wait behind all others and leave them a quarter.
struct LookupBudget {
    /// Failures of a loop; each costs Redis 11 µs.
    static let perSecond = 2_000
    /// Of one block.
    static let blockPerSecond = 500
    /// A block with more failures than these is a bad one, until they are forgotten. That takes long, or who sends just less junk
    /// than a block may would never be one, and a few such blocks had the whole budget.
    static let forgiven = 20
    private static let forgottenPerSecond = 5
    private static let mostRemembered = 300
    /// Of one block beside good ones, before it is known what it brings.
    private static let mostWaitingOfBlock = 200
    /// What bad blocks leave to others.
    private static let reserve = perSecond / 4
    /// In either queue; further ones are refused at once.
    static let mostWaiting = 2_000

    /// IPv4 addresses by their /24, IPv6 by their /48, or by less where addresses count by less: who has one of those has
    /// all of it.
    enum Origin: Hashable {
        case block(IPAddress)
        case named(String)

        init(_ request: AdmissionRequest, by prefix: AddressPrefix) {
            self = request.clientAddress.map { .block($0.neighborhood(prefix)) } ?? .named(request.address)
        }
    }

    final class Block {
        fileprivate var failures = TokenBucket(BucketShape(perSecond: blockPerSecond))
        fileprivate var remembered = TokenBucket(BucketShape(perSecond: forgottenPerSecond, burst: mostRemembered))
        fileprivate var underWay = 0
        /// Beside good ones.
        fileprivate var waiting = 0

        fileprivate func isBad(at time: Int) -> Bool {
            waiting >= mostWaitingOfBlock || remembered.backlog(at: time) > remembered.shape.units(ofCost: forgiven)
        }
    }

    enum Beginning {
        case now(Block)
        case later
        case never
    }

    private struct Waiting {
        let hash: CredentialHash
        let block: Block
        var until: NIODeadline
    }

    private var blocks: BoundedCache<Origin, Block>
    private var failures = TokenBucket(BucketShape(perSecond: perSecond))
    private var underWay = 0
    /// Oldest first.
    private var good: [Waiting] = []
    private var bad: [Waiting] = []

    /// - Parameter blocks: so many are remembered.
    init(blocks: Int) {
        self.blocks = BoundedCache(capacity: blocks)
    }

    /// A look-up is due: it goes now, or is given out by `advance` once there is room.
    mutating func begin(
        _ hash: CredentialHash, from origin: Origin, at now: NIODeadline, until deadline: NIODeadline
    ) -> Beginning {
        let block = block(origin)
        let isBad = block.isBad(at: now.microseconds)
        // Nobody overtakes who waits for the same.
        if good.isEmpty, !isBad || bad.isEmpty, hasRoom(block, isBad, at: now) {
            take(block)
            return .now(block)
        }
        guard (isBad ? bad.count : good.count) < Self.mostWaiting else { return .never }
        let waiting = Waiting(hash: hash, block: block, until: deadline)
        if isBad {
            bad.append(waiting)
        } else {
            block.waiting += 1
            good.append(waiting)
        }
        return .later
    }

    /// Its key was none, or not as far as is known.
    mutating func end(_ block: Block, asFailure isFailure: Bool, at now: NIODeadline) {
        precondition(underWay > 0 && block.underWay > 0, "Cannot end a look-up that hasn't begun")
        underWay -= 1
        block.underWay -= 1
        guard isFailure else { return }
        _ = failures.take(1, at: now.microseconds)
        _ = block.failures.take(1, at: now.microseconds)
        _ = block.remembered.take(1, at: now.microseconds)
    }

    /// - Returns: the look-ups that there is room for now, which have begun, and those that have waited in vain.
    mutating func advance(at now: NIODeadline) -> (ready: [(CredentialHash, Block)], late: [CredentialHash]) {
        guard !good.isEmpty || !bad.isEmpty else { return ([], []) }
        var (ready, late): ([(CredentialHash, Block)], [CredentialHash]) = ([], [])
        for isBad in [false, true] {
            var left: [Waiting] = []
            for waiting in isBad ? bad : good {
                if waiting.until <= now {
                    late.append(waiting.hash)
                } else if hasRoom(waiting.block, isBad, at: now) {
                    take(waiting.block)
                    ready.append((waiting.hash, waiting.block))
                } else {
                    left.append(waiting)
                }
            }
            if isBad {
                bad = left
            } else {
                for waiting in good { waiting.block.waiting -= 1 }
                for waiting in left { waiting.block.waiting += 1 }
                good = left
            }
        }
        return (ready, late)
    }

    /// The process stood still: the time was nobody's.
    mutating func shift(by excess: TimeAmount) {
        for index in good.indices { good[index].until = good[index].until + excess }
        for index in bad.indices { bad[index].until = bad[index].until + excess }
    }

    private mutating func take(_ block: Block) {
        underWay += 1
        block.underWay += 1
    }

    private mutating func hasRoom(_ block: Block, _ isBad: Bool, at now: NIODeadline) -> Bool {
        let time = now.microseconds
        let asked = underWay + 1 + (isBad ? Self.reserve : 0)
        return failures.shape.admits(cost: asked, backlog: failures.backlog(at: time))
            && block.failures.shape.admits(cost: block.underWay + 1, backlog: block.failures.backlog(at: time))
    }

    private mutating func block(_ origin: Origin) -> Block {
        if let known = blocks.use(origin) { return known }
        let block = Block()
        blocks.insert(block, for: origin)
        return block
    }
}

extension IPAddress {
    /// The lowest address of the block that one caller may well have.
    fileprivate func neighborhood(_ prefix: AddressPrefix) -> IPAddress {
        let widest = AddressPrefix(ipv4: min(24, prefix.ipv4), ipv6: min(48, prefix.ipv6))
        return counted.network(widest.length(of: counted.family))
    }
}

extension NIODeadline {
    /// Of a clock that keeps one origin.
    var microseconds: Int { Int(uptimeNanoseconds / 1_000) }
}
