// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore
import Testing

@testable import Proxy

@Suite struct FalseStreamsTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private func caller(_ key: String?, address: String = "192.0.2.1", route: String? = "/mcp") -> FalseStreams.Caller {
        FalseStreams.Caller(
            AdmissionRequest(
                kind: .protected, credential: key.map { .presented(Array($0.utf8)) } ?? .absent, address: address,
                selection: PolicySelection()),
            route: route)
    }

    @Test func areRememberedForAMinuteFromTheLast() {
        var streams = FalseStreams()
        streams.remember(caller("a"), at: Self.now)
        streams.remember(caller("a"), at: Self.now + .seconds(10))
        #expect(streams.isRemembered(caller("a"), at: Self.now + .seconds(70) - .nanoseconds(1)))
        #expect(!streams.isRemembered(caller("a"), at: Self.now + .seconds(70)))
    }

    @Test func aRealOneForgetsThem() {
        var streams = FalseStreams()
        streams.remember(caller("a"), at: Self.now)
        streams.forget(caller("b"))
        #expect(streams.isRemembered(caller("a"), at: Self.now))
        streams.forget(caller("a"))
        #expect(!streams.isRemembered(caller("a"), at: Self.now))
    }

    @Test func aCallerIsAKeyOnARouteOrAnAddressWithoutOne() {
        #expect(caller("a") == caller("a", address: "192.0.2.2"))
        #expect(caller("a") != caller("b"))
        #expect(caller("a") != caller("a", route: "/other"))
        #expect(caller(nil) == caller(nil))
        #expect(caller(nil) != caller(nil, address: "192.0.2.2"))
    }

    @Test func callersAreBounded() {
        var streams = FalseStreams()
        for number in 0..<FalseStreams.mostCallers { streams.remember(caller("\(number)"), at: Self.now) }
        streams.remember(caller("0"), at: Self.now)
        #expect(streams.isRemembered(caller("1"), at: Self.now))
        streams.remember(caller("new"), at: Self.now)
        #expect(!streams.isRemembered(caller("1"), at: Self.now))
        #expect(streams.isRemembered(caller("new"), at: Self.now))
    }
}
