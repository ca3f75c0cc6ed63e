// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// What becomes of an admission after it was given: refunds, costs that the handler reports, slots, and streams that end
/// with their key.
extension DownstreamHandler {
    /// The handler has answered.
    ///
    /// - Parameter isServed: it did more than to say where else it will.
    func accountForAnswer(_ response: ResponseHead, isServed: Bool) {
        let isCallAfterAll = intake?.judgeStream(by: response, &shard.falseStreams, at: shard.now) == true
        guard let receipt = admittance.receipt else { return }
        // What is given back isn't limited, so beyond the rate of what costs nothing it is paid.
        let isServed = isServed || !shard.pacing.takesTurn(of: admittance.freeCaller, at: shard.now)
        guard snapshot.accountsForAnswers || isCallAfterAll || !isServed else { return }
        shard.gate.account(
            for: receipt,
            .answered(status: response.status, isServed: isServed, isCallAfterAll: isCallAfterAll) {
                [snapshot, troubles = shard.troubles] field in
                switch snapshot.reportedCost(in: response, field) {
                case .tokens(let cost):
                    troubles.costs.succeeded()
                    return cost
                case .none: return nil
                case .unreadable:
                    troubles.costs.failed()
                    return nil
                }
            })
    }

    /// We answer in the handler's stead, which never got the request.
    func accountForFault(_ fault: Exchange.Fault) {
        guard let receipt = admittance.receipt, fault.isOurs else { return }
        shard.gate.account(for: receipt, .unserved)
    }

    /// The response goes on for as long as somebody wants, so both the key and the slot are looked after.
    func watchStream() {
        guard let receipt = admittance.receipt, !admittance.isWatched else { return }
        let number = requestNumber
        admittance.keep(shard.gate.watch(receipt) { [weak self] in self?.endStream(number, because: .keyEnded) })
        watchSlot()
    }

    /// A slot that is lost to others ends what it was held for.
    func watchSlot() {
        guard let receipt = admittance.receipt else { return }
        let number = requestNumber
        shard.gate.watchSlot(of: receipt) { [weak self] in self?.endStream(number, because: .slotLost) }
    }

    /// As if the handler had died; one that hasn't begun is refused.
    private func endStream(_ number: UInt64, because fault: Exchange.Fault) {
        guard number == requestNumber, machine.isExchanging else { return }
        record.reason = Refusal(fault, bodyLimit: bodyLimit).reason
        perform(exchange.upstreamFailed(fault))
        process()
    }

    /// The exchange is over.
    func settleReceipt() {
        let held = admittance.end()
        if let watch = held.watch { shard.gate.unwatch(watch) }
        if let receipt = held.receipt { shard.gate.release(receipt) }
    }

    /// The client has left while it waited for its turn.
    func giveTurnBack() {
        if let caller = admittance.giveUpTurn() { shard.pacing.giveBack(to: caller) }
    }
}

extension Exchange.Fault {
    /// Whether it happened before the handler could have begun to work.
    fileprivate var isOurs: Bool {
        switch self {
        case .upstreamUnreachable, .upstreamConnectTimeout, .upstreamQueueFull, .upstreamShare, .exhausted: true
        case .upstreamClosed, .upstreamInvalid, .upstreamTimeout, .bodyMalformed, .bodyTooLarge, .bodyTimeout,
            .keyEnded, .slotLost:
            false
        }
    }
}
