// SPDX-License-Identifier: Apache-2.0

/// What the machine of an exchange is told, and what it asks for.
extension Exchange {
    /// What the head of the request says about the ways it may end.
    struct Facts: Sendable, Equatable {
        /// RFC 9110 §9.2.2; decides whether a lost connection may be tried again.
        var isIdempotent: Bool
        var hasBody: Bool
        /// Known when the head declared it.
        var declaredLength: UInt64?
        var keepsAlive: Bool
        /// The head has an Expect field, whatever it says: nobody knows what the client, or a proxy before it that reads it
        /// differently, makes of a refusal, and whether the body will come after it.
        var expectsContinue: Bool
        /// A client that asked for events and closes its sending side has left.
        var acceptsEventStream: Bool
        /// For a tunnel. Whatever the answer, what the client sent behind the head may not be another request, so the
        /// connection ends with it.
        var asksForUpgrade = false
    }

    /// What went wrong, where a response of our own stands in for the handler's.
    enum Fault: Sendable, Equatable {
        case upstreamUnreachable, upstreamConnectTimeout, upstreamQueueFull
        /// It is there, and by TLS it isn't to be spoken to.
        case upstreamDoubtful(UpstreamDoubt)
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
    enum Freshness: Sendable, Equatable {
        case any, recent, new
    }

    enum UpstreamEnd: Sendable, Equatable {
        case none, pool, close
        /// Close when the handler has what was written, or takes nothing of it for too long.
        case hangUp
    }

    enum DownstreamEnd: Sendable, Equatable {
        /// The next request may be read.
        case next
        /// The rest of the body is read and thrown away, then the next request.
        case swallow
        /// Close when all is written.
        case close
        /// Close our side when all is written, and read a little longer, so that the response isn't lost to a reset.
        case linger
    }

    // MARK: What it asks for, an enum an event

    enum AdmittedAction: Sendable, Equatable {
        /// Read the beginning of the body, then call ``StateMachine/bodyGathered()``.
        case gather
        case acquire(Freshness)
    }

    enum GatheredAction: Sendable, Equatable {
        case none
        case acquire(Freshness)
    }

    enum AttachedAction: Sendable, Equatable {
        /// Write the request's head to the connection that was attached; its body follows as it comes.
        case sendRequest
        /// The connection came too late: nobody waits for it.
        case returnUnused
    }

    enum UnavailableAction: Sendable, Equatable {
        case none
        /// Answer for the handler, then call ``StateMachine/answered()``.
        case answer(Fault, closing: Bool)
    }

    enum RedirectedAction: Sendable, Equatable {
        case none
        /// End the part of the upstream connection, then acquire one for the same request, at the path it was led to.
        case follow(upstream: UpstreamEnd, Freshness)
    }

    enum BeganAction: Sendable, Equatable {
        case none
        /// Write the handler's head.
        case forwardHead(closing: Bool)
    }

    enum SwitchedAction: Sendable, Equatable {
        case none
        /// Write the handler's 101; from here on bytes pass both ways as they are.
        case openTunnel
        /// Close the upstream connection and answer for it, then call ``StateMachine/answered()``.
        case answer(Fault, closing: Bool)
    }

    enum EndedAction: Sendable, Equatable {
        case none
        /// The response is complete.
        case finish(upstream: UpstreamEnd, downstream: DownstreamEnd)
    }

    enum ClosedAction: Sendable, Equatable {
        case none
        /// Send it again, on another connection.
        case acquire(Freshness)
        /// Answer for the handler, then call ``StateMachine/answered()``.
        case answer(Fault, closing: Bool)
        /// The response can't be completed: close both sides so that it doesn't look complete.
        case cut
        /// The handler has left a tunnel without a farewell. What it sent before is the client's all the same: a handler
        /// that closes with something unread resets its connection, however well it has ended.
        case endTunnel
    }

    enum FailedAction: Sendable, Equatable {
        case none
        /// Close the upstream connection and answer for it, then call ``StateMachine/answered()``.
        case answer(Fault, closing: Bool)
        /// As of ``ClosedAction``.
        case cut
    }

    enum RequestEndedAction: Sendable, Equatable {
        case none
        case acquire(Freshness)
        /// The response was complete before.
        case finish(DownstreamEnd)
    }

    enum RequestBrokeAction: Sendable, Equatable {
        case none
        /// Close the upstream connection, if any, and answer for it, then call ``StateMachine/answered()``.
        case answer(Fault, closing: Bool)
        /// As of ``ClosedAction``.
        case cut
        /// Close both sides: the response is complete, and nothing more can be read.
        case depart
    }

    enum InputClosedAction: Sendable, Equatable {
        case none
        /// A tunnel's client has sent its last byte.
        case finish(upstream: UpstreamEnd, downstream: DownstreamEnd)
        /// The client has left: close both sides.
        case depart
    }

    enum LeftAction: Sendable, Equatable {
        case none
        /// Close both sides.
        case depart
        /// The client has left a tunnel. What it sent before is the handler's all the same, as with
        /// ``ClosedAction/endTunnel``.
        case endTunnel
    }
}
