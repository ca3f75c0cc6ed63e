// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Proxy

@Suite struct ExchangeTests {
    static func facts(
        isIdempotent: Bool = true, hasBody: Bool = false, declaredLength: UInt64? = nil, keepsAlive: Bool = true,
        expectsContinue: Bool = false, acceptsEventStream: Bool = false, asksForUpgrade: Bool = false
    ) -> Exchange.Facts {
        Exchange.Facts(
            isIdempotent: isIdempotent, hasBody: hasBody, declaredLength: declaredLength, keepsAlive: keepsAlive,
            expectsContinue: expectsContinue, acceptsEventStream: acceptsEventStream, asksForUpgrade: asksForUpgrade)
    }

    func attached(_ facts: Exchange.Facts = facts(), isReused: Bool = true) -> Exchange.StateMachine {
        var exchange = Exchange.StateMachine(facts)
        if exchange.admitted() == .gather { _ = exchange.bodyGathered() }
        #expect(exchange.upstreamAttached(isReused: isReused) == .sendRequest)
        return exchange
    }

    @Test func aPlainRequestReturnsItsConnection() {
        var exchange = Exchange.StateMachine(Self.facts())
        #expect(exchange.admitted() == .acquire(.any))
        #expect(exchange.upstreamAttached(isReused: false) == .sendRequest)
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: false))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .next))
        #expect(exchange.clientLeft() == .none)
    }

    @Test func aPostTakesOnlyAFreshConnection() {
        var exchange = Exchange.StateMachine(Self.facts(isIdempotent: false))
        #expect(exchange.admitted() == .acquire(.recent))
    }

    // MARK: The beginning of a body

    @Test func aBodyBeginsBeforeAConnectionIsTaken() {
        var exchange = Exchange.StateMachine(Self.facts(isIdempotent: false, hasBody: true))
        #expect(exchange.admitted() == .gather)
        #expect(exchange.gathersBody && !exchange.forwardsBody)
        #expect(exchange.bodyGathered() == .acquire(.recent))
        #expect(!exchange.gathersBody)
        #expect(exchange.bodyGathered() == .none)
    }

    @Test func aShortBodyIsWholeBeforeAConnectionIsTaken() {
        var exchange = Exchange.StateMachine(Self.facts(hasBody: true, declaredLength: 3))
        #expect(exchange.admitted() == .gather)
        #expect(exchange.requestEnded() == .acquire(.any))
        #expect(exchange.upstreamAttached(isReused: true) == .sendRequest)
        // Whole before it was sent, so no answer to it is early.
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: false))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .next))
    }

    @Test func whoeverExpectsA100IsNotWaitedFor() {
        var exchange = Exchange.StateMachine(Self.facts(hasBody: true, declaredLength: 3, expectsContinue: true))
        #expect(exchange.admitted() == .acquire(.any))
    }

    @Test func aBodyThatStopsBeforeAConnectionIsTakenIsAnswered() {
        var exchange = Exchange.StateMachine(Self.facts(hasBody: true))
        _ = exchange.admitted()
        #expect(exchange.requestBroke(.bodyTimeout) == .answer(.bodyTimeout, closing: true))
        #expect(exchange.bodyGathered() == .none)
        #expect(exchange.answered() == .linger)
    }

    @Test func anEarlyResponseEndsTheConnections() {
        var exchange = attached(Self.facts(isIdempotent: false, hasBody: true, declaredLength: 1 << 30))
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: true))
        #expect(exchange.forwardsBody)
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .close, downstream: .linger))
    }

    @Test func aBodyThatEndsAfterTheResponseBeganStillCloses() {
        var exchange = attached(Self.facts(isIdempotent: false, hasBody: true, declaredLength: 5))
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: true))
        #expect(exchange.requestEnded() == .none)
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .close, downstream: .close))
    }

    @Test func aLostReusedConnectionIsTriedOnceMore() {
        var exchange = attached()
        #expect(exchange.upstreamClosed() == .acquire(.new))
        #expect(exchange.upstreamAttached(isReused: false) == .sendRequest)
        #expect(exchange.upstreamClosed() == .answer(.upstreamClosed, closing: false))
        #expect(exchange.answered() == .next)
    }

    @Test(arguments: [
        (facts(), false), (facts(isIdempotent: false), true),
        (facts(hasBody: true, declaredLength: 1), true),
    ])
    func whatMayHaveBeenDoneIsNotRepeated(facts: Exchange.Facts, isReused: Bool) {
        var exchange = attached(facts, isReused: isReused)
        if facts.hasBody { _ = exchange.requestEnded() }
        #expect(exchange.upstreamClosed() == .answer(.upstreamClosed, closing: false))
    }

    @Test func afterAnInterimResponseNothingIsRepeated() {
        var exchange = attached()
        exchange.upstreamInformed()
        #expect(exchange.upstreamClosed() == .answer(.upstreamClosed, closing: false))
    }

    @Test func aTruncatedResponseIsCut() {
        var exchange = attached()
        _ = exchange.responseBegan(isEventStream: false)
        #expect(exchange.upstreamClosed() == .cut)
        #expect(exchange.clientLeft() == .none)
    }

    @Test(arguments: [0, 64 * 1024] as [UInt64])
    func aShortBodyIsSwallowedAfterARefusal(length: UInt64) {
        var exchange = Exchange.StateMachine(Self.facts(hasBody: true, declaredLength: length))
        let closes = exchange.refused(closing: false)
        #expect(!closes)
        #expect(exchange.answered() == .swallow)
        #expect(exchange.swallowsBody)
        #expect(exchange.requestEnded() == .finish(.next))
    }

    @Test(arguments: [
        facts(hasBody: true, declaredLength: 64 * 1024 + 1), facts(hasBody: true),
        facts(hasBody: true, declaredLength: 10, expectsContinue: true),
        facts(hasBody: true, declaredLength: 10, keepsAlive: false),
    ])
    func anotherBodyEndsTheConnection(facts: Exchange.Facts) {
        var exchange = Exchange.StateMachine(facts)
        let closes = exchange.refused(closing: false)
        #expect(closes)
        #expect(exchange.answered() == .linger)
    }

    @Test func aBadBodyIsAnsweredOrCut() {
        var early = attached(Self.facts(hasBody: true))
        #expect(early.requestBroke(.bodyMalformed) == .answer(.bodyMalformed, closing: true))
        #expect(early.answered() == .linger)
        var late = attached(Self.facts(hasBody: true))
        _ = late.responseBegan(isEventStream: false)
        #expect(late.requestBroke(.bodyMalformed) == .cut)
    }

    @Test func aHalfClosedClientGetsItsAnswer() {
        var exchange = attached()
        #expect(exchange.clientClosedInput(hasSentAhead: false) == .none)
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: true))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .close))
    }

    @Test func aHalfClosedClientGetsEveryAnswer() {
        var exchange = attached()
        #expect(exchange.clientClosedInput(hasSentAhead: true) == .none)
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: false))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .next))
    }

    @Test func aStreamsClientThatClosesHasLeft() {
        var asked = attached(Self.facts(acceptsEventStream: true))
        #expect(asked.clientClosedInput(hasSentAhead: false) == .depart)
        var given = attached()
        _ = given.responseBegan(isEventStream: true)
        #expect(given.clientClosedInput(hasSentAhead: false) == .depart)
        var unfinished = attached(Self.facts(hasBody: true))
        #expect(unfinished.clientClosedInput(hasSentAhead: false) == .depart)
    }

    @Test func aConnectionThatComesTooLateGoesBack() {
        var exchange = Exchange.StateMachine(Self.facts(hasBody: true))
        _ = exchange.admitted()
        _ = exchange.bodyGathered()
        #expect(exchange.requestBroke(.bodyTimeout) == .answer(.bodyTimeout, closing: true))
        _ = exchange.answered()
        #expect(exchange.upstreamAttached(isReused: false) == .returnUnused)
    }

    // MARK: Tunnels

    @Test func aTunnelEndsWithTheHandler() {
        var exchange = attached(Self.facts(asksForUpgrade: true))
        #expect(!exchange.forwardsBody)
        #expect(exchange.upstreamSwitched() == .openTunnel)
        #expect(exchange.isTunnel && exchange.forwardsBody)
        #expect(exchange.responseEnded(isReusable: false) == .finish(upstream: .close, downstream: .linger))
        #expect(exchange.clientLeft() == .none)
    }

    @Test func aTunnelEndsWithTheClientsLastByte() {
        var exchange = attached(Self.facts(asksForUpgrade: true))
        _ = exchange.upstreamSwitched()
        #expect(exchange.clientClosedInput(hasSentAhead: false) == .finish(upstream: .hangUp, downstream: .close))
        #expect(exchange.upstreamClosed() == .none)
        #expect(exchange.clientLeft() == .none)
    }

    @Test func aTunnelThatIsResetEndsWithWhatWasSent() {
        var byHandler = attached(Self.facts(asksForUpgrade: true))
        _ = byHandler.upstreamSwitched()
        #expect(byHandler.upstreamClosed() == .endTunnel)
        #expect(byHandler.clientLeft() == .none)
        var byClient = attached(Self.facts(asksForUpgrade: true))
        _ = byClient.upstreamSwitched()
        #expect(byClient.clientLeft() == .endTunnel)
        #expect(byClient.clientLeft() == .none)
        #expect(byClient.upstreamClosed() == .none)
    }

    @Test func whatNobodyTakesOfATunnelIsGivenUp() {
        var exchange = attached(Self.facts(asksForUpgrade: true))
        #expect(exchange.tunnelStalled() == .none)
        _ = exchange.upstreamSwitched()
        #expect(exchange.tunnelStalled() == .depart)
        #expect(exchange.tunnelStalled() == .none)
        #expect(exchange.clientLeft() == .none)
    }

    @Test func anUnaskedSwitchIsNoAnswer() {
        var exchange = attached()
        #expect(exchange.upstreamSwitched() == .answer(.upstreamInvalid, closing: false))
        #expect(!exchange.isTunnel)
        var late = attached(Self.facts(asksForUpgrade: true))
        _ = late.responseBegan(isEventStream: false)
        #expect(late.upstreamSwitched() == .none)
    }

    @Test func anotherAnswerThanASwitchEndsBothConnections() {
        var exchange = attached(Self.facts(asksForUpgrade: true))
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: true))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .close, downstream: .linger))
        var refused = Exchange.StateMachine(Self.facts(asksForUpgrade: true))
        let closes = refused.refused(closing: false)
        #expect(closes)
        #expect(refused.answered() == .linger)
    }

    @Test func whoAsksForATunnelAndClosesHasLeft() {
        var exchange = attached(Self.facts(asksForUpgrade: true))
        #expect(exchange.clientClosedInput(hasSentAhead: false) == .depart)
    }
}
