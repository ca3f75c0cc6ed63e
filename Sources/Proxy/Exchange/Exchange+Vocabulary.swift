// SPDX-License-Identifier: Apache-2.0

/// What an exchange is told, and what it asks for.
extension Exchange {
    /// What the head of the request says about the ways it may end.
    package struct Facts: Sendable, Equatable {
        /// RFC 9110 §9.2.2; decides whether a lost connection may be tried again.
        package var isIdempotent: Bool
        package var hasBody: Bool
        /// Known when the head declared it.
        package var declaredLength: UInt64?
        package var keepsAlive: Bool
        /// The head has an Expect field, whatever it says: nobody knows what the client, or a proxy before it that reads it
        /// differently, makes of a refusal, and whether the body will come after it.
        package var expectsContinue: Bool
        /// A client that asked for events and closes its sending side has left.
        package var acceptsEventStream: Bool
        /// For a tunnel. Whatever the answer, what the client sent behind the head may not be another request, so the
        /// connection ends with it.
        package var asksForUpgrade: Bool

        package init(
            isIdempotent: Bool, hasBody: Bool, declaredLength: UInt64?, keepsAlive: Bool, expectsContinue: Bool,
            acceptsEventStream: Bool, asksForUpgrade: Bool = false
        ) {
            self.isIdempotent = isIdempotent
            self.hasBody = hasBody
            self.declaredLength = declaredLength
            self.keepsAlive = keepsAlive
            self.expectsContinue = expectsContinue
            self.acceptsEventStream = acceptsEventStream
            self.asksForUpgrade = asksForUpgrade
        }
    }

    /// What went wrong, where a response of our own stands in for the handler's.
    package enum Fault: Sendable, Equatable {
        case upstreamUnreachable, upstreamConnectTimeout, upstreamQueueFull
        /// The caller has as many connections to the handler as one may.
        case upstreamShare
        case upstreamClosed, upstreamInvalid, upstreamTimeout
        /// The process lacks what a connection takes.
        case exhausted
        case bodyMalformed, bodyTooLarge, bodyTimeout
        /// What it was admitted by holds no longer.
        case keyEnded, slotLost
    }

    /// How old a pooled connection may be. A request that can't be repeated must not meet one the handler is closing.
    package enum Freshness: Sendable, Equatable {
        case any, recent, new
    }

    package enum UpstreamEnd: Sendable, Equatable {
        case none, pool, close
        /// Close when the handler has what was written.
        case hangUp
    }

    package enum DownstreamEnd: Sendable, Equatable {
        /// The next request may be read.
        case next
        /// The rest of the body is read and thrown away, then the next request.
        case swallow
        /// Close when all is written.
        case close
        /// Close our side when all is written, and read a little longer, so that the response isn't lost to a reset.
        case linger
    }

    package enum Action: Sendable, Equatable {
        case none
        /// Read the beginning of the body, then call ``bodyGathered()``.
        case gather
        case acquire(Freshness)
        /// Write the request's head to the connection that was attached; its body follows as it comes.
        case sendRequest
        /// End the part of the upstream connection, then acquire one for the same request, at the path it was led to.
        case follow(upstream: UpstreamEnd, Freshness)
        /// The connection came too late: nobody waits for it.
        case returnUnused
        /// Close the upstream connection, if any, and answer for it; then call ``answered()``.
        case answer(Fault, closing: Bool)
        /// Write the handler's head.
        case forwardHead(closing: Bool)
        /// Write the handler's 101; from here on bytes pass both ways as they are.
        case openTunnel
        /// The response is complete.
        case finish(upstream: UpstreamEnd, downstream: DownstreamEnd)
        /// The response can't be completed: close both sides so that it doesn't look complete.
        case cut
        /// The client has left: close both sides.
        case depart
    }
}
