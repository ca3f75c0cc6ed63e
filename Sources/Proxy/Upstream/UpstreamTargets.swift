// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One address of the handler's.
final class UpstreamTarget {
    let address: SocketAddress
    /// False once the name no longer has it: no request goes there any more.
    fileprivate(set) var isCurrent = true

    fileprivate init(_ address: SocketAddress) {
        self.address = address
    }
}

/// The handler's addresses as one loop knows them. The one that worked last comes first, so that connections go to one
/// place as long as it takes them; one that failed comes last.
struct UpstreamTargets {
    private(set) var all: [UpstreamTarget]
    private var lastGood: UpstreamTarget?

    init(_ addresses: [SocketAddress]) {
        all = addresses.map(UpstreamTarget.init)
    }

    mutating func worked(_ target: UpstreamTarget) {
        guard lastGood !== target, let index = all.firstIndex(where: { $0 === target }) else { return }
        lastGood = target
        all.insert(all.remove(at: index), at: 0)
    }

    mutating func failed(_ target: UpstreamTarget) {
        if lastGood === target { lastGood = nil }
        guard let index = all.firstIndex(where: { $0 === target }) else { return }
        all.append(all.remove(at: index))
    }

    /// The name was asked for again. An address that works stays first, however the answer is ordered: many name servers
    /// give another order each time.
    mutating func replace(with addresses: [SocketAddress]) {
        guard Set(addresses) != Set(all.map(\.address)) else { return }
        let known = all
        all = addresses.map { address in known.first { $0.address == address } ?? UpstreamTarget(address) }
        for target in known where !all.contains(where: { $0 === target }) { target.isCurrent = false }
        guard let good = lastGood else { return }
        lastGood = nil
        if good.isCurrent { worked(good) }
    }
}
