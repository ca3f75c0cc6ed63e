// SPDX-License-Identifier: Apache-2.0

import Octets
import Testing

@testable import Admin

@Suite struct StatusTests {
    @Test func everyMemberIsThere() {
        #expect(
            Status.example.json
                == #"{"version":"1.2.3","status":"redis unavailable","uptime_seconds":93,"loops":2,"loops_unheard":1,"#
                + #""listeners":["127.0.0.1:8080","unix:/run/tollgate.sock"],"#
                + #""redis":{"address":"redis://127.0.0.1:6379/0","ok":false,"reason":"memory","detail":"It is full.","#
                + #""since":"2026-11-23T03:41:07Z","breaker":{"closed":1,"open":1},"commands_in_flight":3,"topology":{"#
                + #""primary":"10.0.0.5:6379","epoch":3,"switches":2,"sentinels":["#
                + #"{"address":"s1:26379","names":"10.0.0.5:6379","epoch":3,"down":true,"error":null},"#
                + #"{"address":"s2:26379","names":null,"epoch":null,"down":false,"error":"connection refused"}]},"#
                + #""cluster":{"epoch":7,"slots_missing":1,"primaries":["#
                + #"{"address":"10.0.0.5:6379","slots":16383,"ok":false}]}},"#
                + #""upstream":{"address":"app:8081","resolved":["10.0.0.1:8081","10.0.0.2:8081"],"#
                + #""connections":{"idle":1,"busy":2},"since":"2026-11-23T03:41:07Z","error":"Connection refused"},"#
                + #""policies":[{"name":"org","per":"org","limit":"20/10s","mode":"enforce"}],"#
                + #""configuration":{"file":"/etc/tollgate.yaml","hash":"0123456789abcdef","#
                + #""last_reload":{"at":"2026-11-23T03:41:07Z","ok":false,"errors":["t.yaml:1: a \"b\"\n"]}},"#
                + #""openapi":{"documents":[{"url":"http://app:8081/o.json","read":true,"routes":3,"left_out":1,"#
                + #""error":"the answer is 500"}],"error":"it is full"},"#
                + #""fleet":{"known":true,"reason":null,"sidecars":["#
                + #"{"name":"web-1","version":"1.2.3","policies":"abc","heard_seconds_ago":0,"self":true},"#
                + #"{"name":"web-2","version":null,"policies":"def","heard_seconds_ago":59,"self":false}]}}"#)
    }

    /// A member that means nothing now is `null`, and none is missing.
    @Test func whatIsNotKnownIsNull() {
        var status = Status.example
        status.state = .starting
        status.loopsUnheard = nil
        status.redis = nil
        status.upstream = nil
        status.policies = []
        status.listeners = []
        status.configuration = Status.Configuration(file: nil, hash: nil, lastReload: nil)
        status.openAPI = nil
        status.fleet = .unknown("no answer")
        #expect(
            status.json
                == #"{"version":"1.2.3","status":"starting","uptime_seconds":93,"loops":2,"loops_unheard":null,"#
                + #""listeners":[],"redis":null,"upstream":null,"policies":[],"configuration":{"file":null,"hash":null,"last_reload":null},"#
                + #""openapi":null,"fleet":{"known":false,"reason":"no answer","sidecars":[]}}"#)
        status.redis = Status.Redis(address: "unix:/r", cause: nil, breakers: [], inFlight: 0)
        #expect(
            status.json.contains(
                #""redis":{"address":"unix:/r","ok":true,"reason":null,"detail":null,"since":null,"breaker":{},"#
                    + #""commands_in_flight":0,"topology":null,"cluster":null}"#))
        status.upstream = Status.Upstream(address: "unix:/h", resolved: [], connections: [])
        #expect(
            status.json.contains(
                #""upstream":{"address":"unix:/h","resolved":[],"connections":{},"since":null,"error":null}"#))
        status.configuration.lastReload = Status.Reload(at: WallTime(seconds: 0), errors: [])
        #expect(status.json.contains(#""last_reload":{"at":"1970-01-01T00:00:00Z","ok":true,"errors":[]}"#))
    }
}

extension Status {
    static var example: Status {
        Status(
            version: "1.2.3", state: .redisUnavailable(Readiness.Cause("memory", "It is full.")),
            uptime: .milliseconds(93_999), loops: 2, loopsUnheard: 1,
            listeners: ["127.0.0.1:8080", "unix:/run/tollgate.sock"],
            redis: Redis(
                address: "redis://127.0.0.1:6379/0",
                cause: Readiness.Cause("memory", "It is full.", since: WallTime(seconds: 1_795_405_267)),
                breakers: [("closed", 1), ("open", 1)], inFlight: 3,
                topology: Topology(
                    primary: "10.0.0.5:6379", epoch: 3, switches: 2,
                    sentinels: [
                        Topology.Sentinel(
                            address: "s1:26379", names: "10.0.0.5:6379", epoch: 3, holdsItDown: true, error: nil),
                        Topology.Sentinel(
                            address: "s2:26379", names: nil, epoch: nil, holdsItDown: false,
                            error: "connection refused"),
                    ]),
                cluster: Cluster(
                    epoch: 7, slotsMissing: 1,
                    primaries: [Cluster.Primary(address: "10.0.0.5:6379", slots: 16_383, isOK: false)])),
            upstream: Upstream(
                address: "app:8081", resolved: ["10.0.0.1:8081", "10.0.0.2:8081"],
                connections: [("idle", 1), ("busy", 2)],
                failure: Failure(since: WallTime(seconds: 1_795_405_267), error: "Connection refused")),
            policies: [Policy(name: "org", per: "org", limit: "20/10s", mode: "enforce")],
            configuration: Configuration(
                file: "/etc/tollgate.yaml", hash: "0123456789abcdef",
                lastReload: Reload(at: WallTime(seconds: 1_795_405_267), errors: ["t.yaml:1: a \"b\"\n"])),
            openAPI: OpenAPI(
                documents: [
                    OpenAPI.Document(
                        url: "http://app:8081/o.json", wasRead: true, routes: 3, leftOut: 1, error: "the answer is 500")
                ], error: "it is full"),
            fleet: .known([
                Sidecar(name: "web-1", version: "1.2.3", policies: "abc", age: .zero, isThisOne: true),
                Sidecar(name: "web-2", version: nil, policies: "def", age: .seconds(59), isThisOne: false),
            ]))
    }
}
