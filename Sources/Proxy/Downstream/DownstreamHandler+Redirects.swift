// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// A handler that serves a path under its other spelling, with a slash more or less at the end, and says so by a redirect
/// (decision 12).
extension DownstreamHandler {
    /// What the handler is asked for: by the client's own spelling, or by the other once it has asked for that.
    var sentTarget: PathAndQuery? {
        let own = PathAndQuery(head.view(of: head.pathRange))
        return exchange.hasFollowed ? own?.withOtherEnd : own
    }

    /// Nil where the answer is one, as most are.
    func slashRedirect(in response: ResponseHead) -> SlashRedirect? {
        guard 300..<400 ~= response.status, let sentTarget else { return nil }
        return SlashRedirect(
            response, to: sentTarget, method: traits.method,
            names: HandlerNames(own: snapshot.upstream.ownName, sent: record.sentHost), publicHost: record.publicHost)
    }

    /// Sends the request where the answer leads, if it is still there and takes the same routes.
    ///
    /// - Returns: false where the answer is the client's.
    func follow(_ redirect: SlashRedirect, on connection: UpstreamConnection) -> Bool {
        guard redirect.keepsRequest, route.isMCP, held != nil || !traits.hasBody, let other = sentTarget?.withOtherEnd,
            snapshot.routes.matchesAlike(head, at: other.path, isPreflight: traits.isPreflight),
            case .follow(let end, let freshness) = exchange.redirected(isReusable: connection.isSpent)
        else { return false }
        shard.troubles.redirects.tell([
            "route": route.pattern ?? "", "hint": "clients save a request by the handler's own spelling",
        ])
        upstream = nil
        // Its place is free, though its end is told later.
        if end == .close { shard.pool.discount(connection) }
        part(from: connection, end)
        acquire(freshness)
        return true
    }
}
