// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One connection too many, and one that makes room for it.
extension DownstreamHandler {
    /// Whose share it takes. Proxies and whoever reaches a Unix socket speak for many.
    var ledgerAddress: String? {
        switch peer.client.origin {
        case .ip: peer.isTrusted ? nil : peer.client.subject
        case .unix, .unknown: nil
        }
    }

    /// There is room after all.
    func welcome() {
        machine.findRoom()
        process()
    }

    /// The oldest that is idle goes when another comes. It has left the queue of those that are kept.
    ///
    /// - Returns: whether it does.
    func makesRoom() -> Bool {
        armed = .none
        switch machine.yield(unread: input.readableBytes, isWritable: isWritable) {
        case .stay: return false
        case .arm(let deadline):
            arm(deadline)
            return false
        case .closeWhenWritten:
            shard.uncount(self)
            closeIdle()
            return true
        }
    }

    /// It is answered before a byte of it is read, and closed at once: those that are turned away must not be what the
    /// process runs out of descriptors by.
    func turnAway(_ crowding: Shard.Crowding) {
        machine.turnAway()
        record.begin(at: .now())
        record.identifyUnread(&shard.correlationIDs)
        record.client = peer.client
        record.decision = "deny"
        let refusal = Refusal.unavailable(
            "Too many connections", reason: crowding == .process ? "connection_limit" : "connection_share")
        record.reason = refusal.reason
        writeRefusal(refusal, closing: true)
        record.logEnd(to: shard.accessLog, at: .now())
        flushResponse()
        closeNow()
    }
}
