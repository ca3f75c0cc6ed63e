// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Proxy

extension ExchangeTests {
    private enum Event: CaseIterable {
        case admitted, refused, gathered, attached, unavailable, informed, redirected, began, switched, ended, closed,
            failed
        case requestEnded, requestBroke, inputClosed, left, stalled, stop

        /// How it ends a tunnel that is open.
        var endOfTunnel: Step {
            switch self {
            case .ended: .finish(upstream: .close, downstream: .linger)
            case .closed: .endTunnel
            case .failed: .cut
            case .inputClosed: .finish(upstream: .hangUp, downstream: .close)
            case .left: .leaveTunnel
            case .stalled: .depart
            case .admitted, .refused, .gathered, .attached, .unavailable, .informed, .redirected, .began, .switched,
                .requestEnded, .requestBroke, .stop:
                .none
            }
        }
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
            if !run.isOver { run.deliver(.left, using: &random) }
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
        var exchange: Exchange.StateMachine
        var isOver = false
        var violation: String?
        private var wasAdmitted = false
        private var isAcquiring = false
        private var holdsUpstream = false
        private var responses = 0
        private var isForwarding = false
        private let mayOpenTunnel: Bool
        private var isTunnelOpen = false
        /// What is being delivered.
        private var event = Event.stop
        private var inputIsClosed = false
        private var sent = 0
        private var follows = 0
        private var attachments = 0
        private var releases = 0

        init(_ facts: Exchange.Facts) {
            exchange = Exchange.StateMachine(facts)
            mayOpenTunnel = facts.asksForUpgrade
        }

        mutating func deliver(_ event: Event, using random: inout SplitMix) {
            self.event = event
            switch event {
            case .admitted where !wasAdmitted && exchange.awaitsResponse:
                wasAdmitted = true
                settle(Step(exchange.admitted()))
            case .refused where !wasAdmitted && exchange.awaitsResponse:
                wasAdmitted = true
                responses += 1
                _ = exchange.refused(closing: .random(using: &random))
                settle(Step(exchange.answered()))
            case .gathered where exchange.gathersBody: settle(Step(exchange.bodyGathered()))
            case .attached where isAcquiring:
                isAcquiring = false
                attachments += 1
                holdsUpstream = true
                settle(Step(exchange.upstreamAttached(isReused: .random(using: &random))))
            case .unavailable where isAcquiring:
                isAcquiring = false
                settle(Step(exchange.upstreamUnavailable(.upstreamUnreachable)))
            case .informed where holdsUpstream && !isForwarding: exchange.upstreamInformed()
            case .redirected where holdsUpstream && !isForwarding:
                settle(Step(exchange.redirected(isReusable: .random(using: &random))))
            case .began where holdsUpstream && !isForwarding:
                settle(Step(exchange.responseBegan(isEventStream: .random(using: &random))))
            case .switched where holdsUpstream && !isForwarding: settle(Step(exchange.upstreamSwitched()))
            case .ended where isForwarding: settle(Step(exchange.responseEnded(isReusable: .random(using: &random))))
            case .closed where holdsUpstream:
                holdsUpstream = false
                releases += 1
                settle(Step(exchange.upstreamClosed()))
            case .failed where holdsUpstream: settle(Step(exchange.upstreamFailed(.upstreamInvalid)))
            // The bytes of a tunnel end with its connection only.
            case .requestEnded where exchange.isReceiving && !inputIsClosed && !exchange.isTunnel:
                settle(Step(exchange.requestEnded()))
            case .requestBroke where exchange.isReceiving && !inputIsClosed && !exchange.isTunnel:
                settle(Step(exchange.requestBroke(.bodyMalformed)))
            case .inputClosed where !inputIsClosed:
                inputIsClosed = true
                settle(Step(exchange.clientClosedInput(hasSentAhead: .random(using: &random))))
            case .left: settle(Step(exchange.clientLeft()))
            case .stalled: settle(Step(exchange.tunnelStalled()))
            case .stop: exchange.stopPersisting()
            default: break
            }
        }

        mutating func settle(_ step: Step) {
            if isTunnelOpen, step != event.endOfTunnel { violation = "\(event) of a tunnel: \(step)" }
            if !isTunnelOpen, step == .endTunnel || step == .leaveTunnel { violation = "ended no tunnel" }
            switch step {
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
                settle(Step(exchange.answered()))
            case .forwardHead:
                responses += 1
                isForwarding = true
            case .openTunnel:
                responses += 1
                isForwarding = true
                isTunnelOpen = true
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
            case .endTunnel:
                if holdsUpstream { violation = "forgets a connection" }
                end()
            case .leaveTunnel:
                if !holdsUpstream { violation = "nobody to tell" }
                release()
                end()
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
            isTunnelOpen = false
            if releases != attachments { violation = "\(attachments) attached, \(releases) released" }
            isOver = true
        }
    }
}
