// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Settings
import Testing

@testable import Proxy

@Suite struct ResponseTimeTests {
    private func request(_ method: Method, events: Bool) -> RequestTraits {
        var traits = RequestTraits()
        traits.method = method
        traits.acceptsEventStream = events
        return traits
    }

    @Test func whatMayBecomeAStreamWaitsWithoutABound() {
        let plain = ResponseTime(.after(.seconds(60)), ofRoute: nil, isMCP: false)
        let mcp = ResponseTime(.after(.seconds(60)), ofRoute: nil, isMCP: true)
        for time in [plain, mcp] {
            #expect(time.bound(of: request(.get, events: true)) == nil)
            #expect(time.bound(of: request(.get, events: false)) == .seconds(60))
            #expect(time.bound(of: request(.post, events: false)) == .seconds(60))
        }
        #expect(mcp.bound(of: request(.post, events: true)) == nil)
        // Anybody may write the field, and a POST elsewhere has no stream to wait for.
        #expect(plain.bound(of: request(.post, events: true)) == .seconds(60))
        #expect(plain.bound(of: request(.head, events: true)) == .seconds(60))
        // No stream answers another method, nor a preflight, which is asked without a key.
        for method in [Method.head, .put, .delete, .options, .other] {
            #expect(mcp.bound(of: request(method, events: true)) == .seconds(60), "\(method)")
        }
    }

    @Test(arguments: [true, false])
    func whatARouteSaysIsOfAllItsRequests(isMCP: Bool) {
        for (own, bound) in [(Settings.Timeout.after(.seconds(5)), TimeAmount.seconds(5)), (.off, nil)] {
            let time = ResponseTime(.after(.seconds(60)), ofRoute: own, isMCP: isMCP)
            for method in [Method.get, .post] {
                for events in [true, false] { #expect(time.bound(of: request(method, events: events)) == bound) }
            }
        }
        let bounded = ResponseTime(.off, ofRoute: .after(.seconds(5)), isMCP: isMCP)
        #expect(bounded.bound(of: request(.get, events: true)) == .seconds(5))
        let unbounded = ResponseTime(.off, ofRoute: nil, isMCP: isMCP)
        #expect(unbounded.bound(of: request(.post, events: false)) == nil)
    }

    @Test(
        arguments: [
            (Settings.Timeout.after(.seconds(60)), nil, false, TimeAmount.seconds(10), TimeAmount.seconds(50)),
            (.after(.seconds(60)), .after(.seconds(3600)), true, .seconds(10), .seconds(3590)),
            (.after(.milliseconds(300)), nil, false, .milliseconds(300), .zero),
            (.after(.seconds(60)), nil, true, .seconds(10), nil), (.off, nil, false, .seconds(10), nil),
        ] as [(Settings.Timeout, Settings.Timeout?, Bool, TimeAmount, TimeAmount?)])
    func whatIsKeptForARedirectIsKeptForPatienceOnly(
        common: Settings.Timeout, own: Settings.Timeout?, events: Bool, wait: TimeAmount, rest: TimeAmount?
    ) {
        let time = ResponseTime(common, ofRoute: own, isMCP: true)
        let call = request(.post, events: events)
        #expect(time.firstWait(of: call, keepsBody: true) == wait)
        #expect(time.rest(of: call, keepsBody: true) == rest)
        // What keeps nothing has one deadline.
        #expect(time.firstWait(of: call, keepsBody: false) == wait + (rest ?? .zero))
        #expect(time.rest(of: call, keepsBody: false) == rest.map { _ in .zero })
    }

    @Test(arguments: [
        (Settings.Timeout.after(.seconds(60)), TimeAmount.seconds(10)),
        (.after(.milliseconds(300)), .milliseconds(300)),
        (.off, .seconds(10)),
    ])
    func patienceIsAtMostTenSeconds(timeout: Settings.Timeout, patience: TimeAmount) {
        #expect(ResponseTime(timeout, ofRoute: nil, isMCP: true).patience == patience)
    }
}
