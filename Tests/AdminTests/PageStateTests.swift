// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Telemetry
import Testing

@testable import Admin

@Suite struct PageStateTests {
    private static let status = Status(
        version: "9.9.9", state: .degraded(.init("memory", "Give it more.", since: WallTime(seconds: 0))),
        uptime: .zero, loops: 2, loopsUnheard: 1, listeners: ["127.0.0.1:8080"], redis: nil, upstream: nil,
        policies: [.init(name: "org", per: "org", limit: "20/10s", mode: "enforce")],
        configuration: .init(file: "t.yaml", hash: "00ff", lastReload: nil), openAPI: nil, fleet: .unknown("away"))

    private static let noted = RecentRefusals.Note(
        at: 5_250_000, status: nil, reason: "upstream_closed", policy: nil, route: "/a", organization: "acme",
        key: "acme/a", client: "192.0.2.1")

    private static var told: TrafficRecorder.Summary {
        let recorder = TrafficRecorder(TrafficClock(.now(), is: WallTime(seconds: 0)))
        var callers = CallerCounts(at: 0)
        callers.count(organization: "acme", key: "acme/a", isDenied: true)
        var refusals = RecentRefusals()
        refusals.append(noted, ByteBuffer(string: "id-1").readableBytesView)
        recorder.tell(
            .init(
                callers: callers.standing, refusals: refusals.all,
                trials: [
                    "b": .init(wouldHaveRefused: 1, wouldHaveAllowed: 2, since: 6),
                    "a": .init(wouldHaveRefused: 3, wouldHaveAllowed: 4, since: 5),
                ]), of: 0)
        return recorder.summary
    }

    @Test func allOfItIsTold() {
        let state = PageState(
            status: Self.status, name: "n", routes: ["/a"], warnings: ["hardly \"meant\""],
            expiring: .init(
                counts: [("24h", 1), ("7d", 2)], first: [.init(id: "acme/a", organization: "acme", end: 99)]))
        #expect(
            state.value(with: Self.told).json == """
                {"status":{"status":"degraded","reason":"memory","detail":"Give it more.","since":"1970-01-01T00:00:00Z"},\
                "redis":null,"upstream":null,\
                "configuration":{"file":"t.yaml","hash":"00ff","last_reload":null,"warnings":["hardly \\"meant\\""]},\
                "openapi":null,"fleet":{"known":false,"reason":"away","sidecars":[]},"loops_unheard":1,\
                "trial":[{"policy":"a","would_have_refused":3,"would_have_allowed":4,"since":5},\
                {"policy":"b","would_have_refused":1,"would_have_allowed":2,"since":6}],\
                "top":{"since":0,"callers":[{"key":"acme/a","organization":"acme","count":1,"error":0}],\
                "organizations":[{"organization":"acme","count":1,"error":0}],\
                "denied":[{"key":"acme/a","organization":"acme","count":1,"error":0}],\
                "denied_organizations":[{"organization":"acme","count":1,"error":0}]},\
                "refusals":[{"at":5.25,"status":null,"reason":"upstream_closed","policy":null,"route":"/a",\
                "organization":"acme","key":"acme/a","client":"192.0.2.1","id":"id-1"}],\
                "expiring":{"24h":1,"7d":2,"first":[{"key":"acme/a","organization":"acme","expires":99}]}}
                """)
    }

    @Test func whatIsNotKnownIsNull() {
        let state = PageState(status: Self.status, name: "n", routes: [], warnings: [], expiring: nil)
        let json = state.value(with: TrafficRecorder().summary).json
        #expect(json.hasSuffix(#""trial":[],"top":null,"refusals":[],"expiring":null}"#))
    }

    @Test func helloTellsWhoItIs() {
        let state = PageState(status: Self.status, name: "n", routes: ["/a"], warnings: [], expiring: nil)
        #expect(
            StatusValue.members(state.hello(startedAt: 7)).json == """
                {"version":"9.9.9","name":"n","started":7,"seconds":900,"loops":2,\
                "policies":[{"name":"org","per":"org","limit":"20/10s","mode":"enforce"}],"routes":["/a"],\
                "listeners":["127.0.0.1:8080"]}
                """)
    }
}
