// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import tollgate

@Suite struct SupervisionTests {
    private static let longest = String(repeating: "a", count: 106)

    @Test func nobodyAsksWithoutAVariable() {
        for environment in [[:], ["NOTIFY_SOCKET": ""]] {
            let supervision = Supervision(environment: environment, pid: 7)
            #expect(supervision == Supervision(environment: [:], pid: 7))
            #expect(supervision.address == nil && supervision.watchdog == nil && supervision.flaws.isEmpty)
        }
    }

    @Test(arguments: ["/run/systemd/notify", "@notify", "/\(longest)", "@\(longest)a"])
    func socketsHavePathsOrNames(text: String) throws {
        let supervision = Supervision(environment: ["NOTIFY_SOCKET": text], pid: 7)
        #expect(try supervision.address == SupervisorAddress(text))
        #expect(supervision.flaws.isEmpty)
    }

    @Test(arguments: [
        ("notify", "expected a path, or @ and a name"),
        ("@", "expected a name after @"),
        ("/\(longest)a", "longer than a path of a socket can be"),
        ("@\(longest)aa", "longer than a name of a socket can be"),
        ("vsock:2:1234", "sockets of virtual machines aren't supported"),
        ("vsock-stream:2:1234", "sockets of virtual machines aren't supported"),
    ])
    func otherSocketsAreToldAndIgnored(text: String, problem: String) {
        let supervision = Supervision(environment: ["NOTIFY_SOCKET": text, "WATCHDOG_USEC": "10"], pid: 7)
        #expect(supervision.address == nil)
        #expect(supervision.watchdog == .microseconds(10))
        #expect(supervision.flaws == [Supervision.Flaw(variable: "NOTIFY_SOCKET", value: text, problem: problem)])
    }

    @Test(arguments: [
        (["WATCHDOG_USEC": "30000000"], Duration.seconds(30)),
        (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"], Duration.seconds(30)),
        // Meant for another.
        (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"], nil),
        (["WATCHDOG_USEC": "x", "WATCHDOG_PID": "8"], nil),
        (["WATCHDOG_PID": "7"], nil),
    ])
    func theWatchdogIsForOneProcess(environment: [String: String], expected: Duration?) {
        let supervision = Supervision(environment: environment, pid: 7)
        #expect(supervision.watchdog == expected)
        #expect(supervision.flaws.isEmpty)
    }

    @Test(arguments: [
        ("WATCHDOG_USEC", "x", "expected a number of microseconds above 0"),
        ("WATCHDOG_USEC", "", "expected a number of microseconds above 0"),
        ("WATCHDOG_USEC", "0", "expected a number of microseconds above 0"),
        ("WATCHDOG_USEC", "-1", "expected a number of microseconds above 0"),
        ("WATCHDOG_USEC", "99999999999999999999", "expected a number of microseconds above 0"),
        ("WATCHDOG_PID", "me", "expected a number"),
    ])
    func nonsenseIsToldAndIgnored(variable: String, value: String, problem: String) {
        let environment = ["WATCHDOG_USEC": "10", "NOTIFY_SOCKET": "@a"].merging([variable: value]) { $1 }
        let supervision = Supervision(environment: environment, pid: 7)
        #expect(supervision.address != nil)
        #expect(supervision.watchdog == nil)
        #expect(supervision.flaws == [Supervision.Flaw(variable: variable, value: value, problem: problem)])
    }
}
