// SPDX-License-Identifier: Apache-2.0

import Proxy
import Testing

@testable import tollgate

@Suite struct InheritedSocketsTests {
    @Test func descriptorsFollowThreeInOrder() throws {
        #expect(
            try InheritedSockets(environment: ["LISTEN_FDS": "2", "LISTEN_PID": "7"], pid: 7).sockets.map(\.descriptor)
                == [3, 4])
        #expect(try InheritedSockets(environment: ["LISTEN_FDS": "0", "LISTEN_PID": "7"], pid: 7).sockets == [])
    }

    @Test func theyAreCalledAsTheirUnitsAre() throws {
        let environment = ["LISTEN_FDS": "3", "LISTEN_PID": "7", "LISTEN_FDNAMES": "web.socket::other"]
        #expect(
            try InheritedSockets(environment: environment, pid: 7).sockets == [
                InheritedSocket(descriptor: 3, name: "web.socket"), InheritedSocket(descriptor: 4),
                InheritedSocket(descriptor: 5, name: "other"),
            ])
    }

    @Test func whatIsForNobodyOrForAnotherIsLeftAlone() throws {
        for environment in [
            [:], ["LISTEN_FDS": "1"], ["LISTEN_PID": "7"], ["LISTEN_FDS": "1", "LISTEN_PID": "8"],
            ["LISTEN_FDS": "x", "LISTEN_PID": "8"],
        ] {
            #expect(try InheritedSockets(environment: environment, pid: 7).sockets == [])
        }
    }

    @Test(arguments: [("x", "7"), ("", "7"), ("-1", "7"), ("1001", "7"), ("1", "x"), ("1", "")])
    func nonsenseIsRefused(count: String, pid: String) throws {
        #expect(throws: InheritedSockets.Malformed.self) {
            try InheritedSockets(environment: ["LISTEN_FDS": count, "LISTEN_PID": pid], pid: 7)
        }
    }
}
