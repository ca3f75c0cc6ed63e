// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore

/// A WebSocket connection: admitted as the GET it begins with, then bytes both ways, unread.
///
/// The two directions are what is left of the request and of the response, as bodies that end with their connection; so
/// back-pressure and departure are those of any exchange. A tunnel has no deadline of its own: either side may be silent.
extension DownstreamHandler {
    /// A 101 came.
    func upstreamSwitched(_ response: ResponseHead, on connection: UpstreamConnection) {
        cancelResponseDeadline()
        guard traits.asksForWebSocket, response.switchesToWebSocket else { return upstreamFailed(.upstreamInvalid) }
        switch exchange.upstreamSwitched() {
        case .none: return process()
        case .answer(let fault, let closing):
            answer(fault, closing: closing)
            return process()
        case .openTunnel: break
        }
        record.answeredAt = .now()
        record.status = response.status
        shard.pool.discount(connection)
        decoder = BodyDecoder(framing: .untilClose)
        traits.framing = .untilClose
        responseFraming = .untilClose
        shard.scratch.clear()
        ResponseForwarding(head: response, snapshot: snapshot, framing: .none, record: record)
            .write(
                ResponseForwarding.Edits(
                    limits: grant.limits, variesByCredential: credentialWasPresented, connection: .webSocket),
                into: &shard.scratch)
        head.reset()
        write(shard.scratch)
        record.logBegin(to: shard.accessLog, at: .now())
        accountForAnswer(response, isServed: true)
        watchStream()
        context?.flush()
        // What the client sent ahead has waited for this.
        process()
    }
}
