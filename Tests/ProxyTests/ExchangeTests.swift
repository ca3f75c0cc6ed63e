// SPDX-License-Identifier: Apache-2.0

import TestSupport
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

    func attached(_ facts: Exchange.Facts = facts(), isReused: Bool = true) -> Exchange {
        var exchange = Exchange(facts)
        if exchange.admitted() == .gather { _ = exchange.bodyGathered() }
        #expect(exchange.upstreamAttached(isReused: isReused) == .sendRequest)
        return exchange
    }

    @Test func aPlainRequestReturnsItsConnection() {
        var exchange = Exchange(Self.facts())
        #expect(exchange.admitted() == .acquire(.any))
        #expect(exchange.upstreamAttached(isReused: false) == .sendRequest)
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: false))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .next))
        #expect(exchange.clientLeft() == .none)
    }

    @Test func aPostTakesOnlyAFreshConnection() {
        var exchange = Exchange(Self.facts(isIdempotent: false))
        #expect(exchange.admitted() == .acquire(.recent))
    }

    // MARK: The beginning of a body

    @Test func aBodyBeginsBeforeAConnectionIsTaken() {
        var exchange = Exchange(Self.facts(isIdempotent: false, hasBody: true))
        #expect(exchange.admitted() == .gather)
        #expect(exchange.gathersBody && !exchange.forwardsBody)
        #expect(exchange.bodyGathered() == .acquire(.recent))
        #expect(!exchange.gathersBody)
        #expect(exchange.bodyGathered() == .none)
    }

    @Test func aShortBodyIsWholeBeforeAConnectionIsTaken() {
        var exchange = Exchange(Self.facts(hasBody: true, declaredLength: 3))
        #expect(exchange.admitted() == .gather)
        #expect(exchange.requestEnded() == .acquire(.any))
        #expect(exchange.upstreamAttached(isReused: true) == .sendRequest)
        // Whole before it was sent, so no answer to it is early.
        #expect(exchange.responseBegan(isEventStream: false) == .forwardHead(closing: false))
        #expect(exchange.responseEnded(isReusable: true) == .finish(upstream: .pool, downstream: .next))
    }

    @Test func whoeverExpectsA100IsNotWaitedFor() {
        var exchange = Exchange(Self.facts(hasBody: true, declaredLength: 3, expectsContinue: true))
        #expect(exchange.admitted() == .acquire(.any))
    }

    @Test func aBodyThatStopsBeforeAConnectionIsTakenIsAnswered() {
        var exchange = Exchange(Self.facts(hasBody: true))
        _ = exchange.admitted()
        #expect(exchange.requestBroke(.bodyTimeout) == .answer(.bodyTimeout, closing: true))
        #expect(exchange.bodyGathered() == .none)
        #expect(exchange.answered() == .finish(upstream: .none, downstream: .linger))
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
        #expect(exchange.answered() == .finish(upstream: .none, downstream: .next))
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
        var exchange = Exchange(Self.facts(hasBody: true, declaredLength: length))
        let closes = exchange.refused(closing: false)
        #expect(!closes)
        #expect(exchange.answered() == .finish(upstream: .none, downstream: .swallow))
        #expect(exchange.swallowsBody)
        #expect(exchange.requestEnded() == .finish(upstream: .none, downstream: .next))
    }

    @Test(arguments: [
        facts(hasBody: true, declaredLength: 64 * 1024 + 1), facts(hasBody: true),
        facts(hasBody: true, declaredLength: 10, expectsContinue: true),
        facts(hasBody: true, declaredLength: 10, keepsAlive: false),
    ])
    func anotherBodyEndsTheConnection(facts: Exchange.Facts) {
        var exchange = Exchange(facts)
        let closes = exchange.refused(closing: false)
        #expect(closes)
        #expect(exchange.answered() == .finish(upstream: .none, downstream: .linger))
    }

    @Test func aBadBodyIsAnsweredOrCut() {
        var early = attached(Self.facts(hasBody: true))
        #expect(early.requestBroke(.bodyMalformed) == .answer(.bodyMalformed, closing: true))
        #expect(early.answered() == .finish(upstream: .none, downstream: .linger))
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
        var exchange = Exchange(Self.facts(hasBody: true))
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

    @Test func aTunnelThatIsResetIsReset() {
        var byHandler = attached(Self.facts(asksForUpgrade: true))
        _ = byHandler.upstreamSwitched()
        #expect(byHandler.upstreamClosed() == .cut)
        var byClient = attached(Self.facts(asksForUpgrade: true))
        _ = byClient.upstreamSwitched()
        #expect(byClient.clientLeft() == .depart)
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
        var refused = Exchange(Self.facts(asksForUpgrade: true))
        let closes = refused.refused(closing: false)
        #expect(closes)
        #expect(refused.answered() == .finish(upstream: .none, downstream: .linger))
    }

    @Test func whoAsksForATunnelAndClosesHasLeft() {
        var exchange = attached(Self.facts(asksForUpgrade: true))
        #expect(exchange.clientClosedInput(hasSentAhead: false) == .depart)
    }

    // MARK: Model

    private enum Event: CaseIterable {
        case admitted, refused, gathered, attached, unavailable, informed, redirected, began, switched, ended, closed,
            failed
        case requestEnded, requestBroke, inputClosed, left, stop
    }

    /// Random interleavings of both sides' events, the decision, deadlines and drain, in every order the connections can
    /// deliver them; the invariants in ``Exchange``'s comment hold after each.
    @Test func keepsItsInvariantsInAnyOrder() {
        var random = SplitMix(seed: 2026)
        for schedule in 0..<Rounds.usually(100_000) {
            var run = Run(Self.randomFacts(&random))
            for _ in 0..<40 where !run.isOver {
                guard let event = Event.allCases.randomElement(using: &random) else { continue }
                run.deliver(event, using: &random)
            }
            if !run.isOver { run.settle(run.exchange.clientLeft()) }
            #expect(run.isOver, "schedule \(schedule) did not end")
            #expect(run.violation == nil, "schedule \(schedule)")
            #expect(run.exchange.clientLeft() == .none)
            if run.violation != nil { return }
        }
    }

    private static func randomFacts(_ random: inout SplitMix) -> Exchange.Facts {
        let hasBody = Bool.random(using: &random)
        return facts(
            isIdempotent: .random(using: &random), hasBody: hasBody,
            declaredLength: hasBody && .random(using: &random) ? UInt64(random.next(below: 100_000)) : nil,
            keepsAlive: .random(using: &random), expectsContinue: .random(using: &random),
            acceptsEventStream: .random(using: &random), asksForUpgrade: !hasBody && .random(using: &random))
    }

    /// What the two connections know, so that only events they could deliver are delivered.
    private struct Run {
        var exchange: Exchange
        var isOver = false
        var violation: String?
        private var wasAdmitted = false
        private var isAcquiring = false
        private var holdsUpstream = false
        private var responses = 0
        private var isForwarding = false
        private let mayOpenTunnel: Bool
        private var inputIsClosed = false
        private var sent = 0
        private var follows = 0
        private var attachments = 0
        private var releases = 0

        init(_ facts: Exchange.Facts) {
            exchange = Exchange(facts)
            mayOpenTunnel = facts.asksForUpgrade
        }

        mutating func deliver(_ event: Event, using random: inout SplitMix) {
            switch event {
            case .admitted where !wasAdmitted && exchange.awaitsResponse:
                wasAdmitted = true
                settle(exchange.admitted())
            case .refused where !wasAdmitted && exchange.awaitsResponse:
                wasAdmitted = true
                responses += 1
                _ = exchange.refused(closing: .random(using: &random))
                settle(exchange.answered())
            case .gathered where exchange.gathersBody: settle(exchange.bodyGathered())
            case .attached where isAcquiring:
                isAcquiring = false
                attachments += 1
                holdsUpstream = true
                settle(exchange.upstreamAttached(isReused: .random(using: &random)))
            case .unavailable where isAcquiring:
                isAcquiring = false
                settle(exchange.upstreamUnavailable(.upstreamUnreachable))
            case .informed where holdsUpstream && !isForwarding: exchange.upstreamInformed()
            case .redirected where holdsUpstream && !isForwarding:
                settle(exchange.redirected(isReusable: .random(using: &random)))
            case .began where holdsUpstream && !isForwarding:
                settle(exchange.responseBegan(isEventStream: .random(using: &random)))
            case .switched where holdsUpstream && !isForwarding: settle(exchange.upstreamSwitched())
            case .ended where isForwarding: settle(exchange.responseEnded(isReusable: .random(using: &random)))
            case .closed where holdsUpstream:
                holdsUpstream = false
                releases += 1
                settle(exchange.upstreamClosed())
            case .failed where holdsUpstream: settle(exchange.upstreamFailed(.upstreamInvalid))
            // The bytes of a tunnel end with its connection only.
            case .requestEnded where exchange.isReceiving && !inputIsClosed && !exchange.isTunnel:
                settle(exchange.requestEnded())
            case .requestBroke where exchange.isReceiving && !inputIsClosed && !exchange.isTunnel:
                settle(exchange.requestBroke(.bodyMalformed))
            case .inputClosed where !inputIsClosed:
                inputIsClosed = true
                settle(exchange.clientClosedInput(hasSentAhead: .random(using: &random)))
            case .left: settle(exchange.clientLeft())
            case .stop: exchange.stopPersisting()
            default: break
            }
        }

        mutating func settle(_ action: Exchange.Action) {
            switch action {
            case .none: break
            case .gather:
                if isAcquiring || holdsUpstream || responses > 0 { violation = "gathered too late" }
            case .acquire:
                if exchange.gathersBody { violation = "gathers while it acquires" }
                if holdsUpstream { violation = "acquired a second connection" }
                isAcquiring = true
            case .sendRequest:
                sent += 1
                if !holdsUpstream { violation = "sent without a connection" }
                // The first time, where that led, and once more where it was lost.
                if sent > 3 { violation = "sent \(sent) times" }
            case .follow(let upstream, _):
                follows += 1
                if upstream != .pool, upstream != .close { violation = "followed without the end of a connection" }
                if !holdsUpstream || exchange.isReceiving || mayOpenTunnel { violation = "followed what may not be" }
                if follows > 1 { violation = "followed twice" }
                release()
                isAcquiring = true
            case .returnUnused: release()
            case .answer:
                if holdsUpstream { release() }
                isAcquiring = false
                responses += 1
                settle(exchange.answered())
            case .forwardHead:
                responses += 1
                isForwarding = true
            case .openTunnel:
                responses += 1
                isForwarding = true
                if !mayOpenTunnel { violation = "an unasked tunnel" }
            case .finish(let upstream, let downstream):
                if mayOpenTunnel, downstream == .next || downstream == .swallow || upstream == .pool {
                    violation = "a connection that may carry something else is kept"
                }
                if (upstream != .none) != holdsUpstream { violation = "finish forgets or invents a connection" }
                if holdsUpstream { release() }
                isForwarding = false
                if responses != 1 { violation = "\(responses) responses at the end" }
                if downstream != .swallow { end() }
            case .cut:
                if holdsUpstream { release() }
                if responses != 1 { violation = "cut without a response" }
                end()
            case .depart:
                if holdsUpstream { release() }
                isAcquiring = false
                end()
            }
            if responses > 1 { violation = "\(responses) responses" }
            if releases > attachments { violation = "released twice" }
        }

        private mutating func release() {
            holdsUpstream = false
            releases += 1
        }

        private mutating func end() {
            if isOver { violation = "ended twice" }
            if releases != attachments { violation = "\(attachments) attached, \(releases) released" }
            isOver = true
        }
    }
}
