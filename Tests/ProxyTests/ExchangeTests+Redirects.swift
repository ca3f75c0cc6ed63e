// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Proxy

extension ExchangeTests {
    @Test func aRedirectIsFollowedOnce() {
        var exchange = attached(Self.facts(isIdempotent: false))
        #expect(!exchange.hasFollowed)
        #expect(exchange.redirected(isReusable: true) == .follow(upstream: .pool, .recent))
        #expect(exchange.hasFollowed && exchange.awaitsResponse)
        #expect(exchange.upstreamAttached(isReused: true) == .sendRequest)
        #expect(exchange.redirected(isReusable: true) == .none)
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: false))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .next))
    }

    @Test func aRedirectThatHasNotEndedEndsItsConnection() {
        var exchange = attached()
        #expect(exchange.redirected(isReusable: false) == .follow(upstream: .close, .any))
        // Its end is nobody's business any more.
        #expect(exchange.upstreamClosed() == .none)
        #expect(exchange.upstreamUnavailable(.upstreamQueueFull) == .answer(.upstreamQueueFull, closing: false))
        #expect(exchange.answered() == .next)
    }

    @Test func aRequestThatIsNotWholeFollowsNothing() {
        var exchange = attached(Self.facts(hasBody: true))
        #expect(exchange.redirected(isReusable: true) == .none)
        #expect(!exchange.hasFollowed)
        _ = exchange.requestEnded()
        #expect(exchange.redirected(isReusable: true) == .follow(upstream: .pool, .any))
        var tunnel = attached(Self.facts(asksForUpgrade: true))
        #expect(tunnel.redirected(isReusable: true) == .none)
    }

    @Test func whoLeavesBetweenTheTwoHasLeft() {
        var waiting = attached(Self.facts(acceptsEventStream: true))
        _ = waiting.redirected(isReusable: true)
        #expect(waiting.clientClosedInput(hasSentAhead: false) == .depart)
        #expect(waiting.upstreamAttached(isReused: true) == .returnUnused)
    }

    @Test(arguments: [(true, Exchange.ClosedAction.acquire(.new)), (false, .answer(.upstreamClosed, closing: false))])
    func whatIsLostAfterARedirectIsRepeatedAsEver(isIdempotent: Bool, action: Exchange.ClosedAction) {
        var exchange = attached(Self.facts(isIdempotent: isIdempotent))
        _ = exchange.redirected(isReusable: true)
        _ = exchange.upstreamAttached(isReused: true)
        #expect(exchange.upstreamClosed() == action)
        guard isIdempotent else { return }
        _ = exchange.upstreamAttached(isReused: true)
        #expect(exchange.upstreamClosed() == .answer(.upstreamClosed, closing: false))
    }
}
