// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import tollgate

@Suite struct SupervisorReportsTests {
    @Test func itIsToldFromStartToEnd() {
        var reports = SupervisorReports(keepsWatch: true)
        #expect(reports.look("Starting", isAlive: true) == [])
        #expect(reports.start("Ready") == [.ready, .status("Ready")])
        #expect(reports.look("Ready", isAlive: true) == [.watchdog])
        #expect(reports.look("Not ready", isAlive: true) == [.status("Not ready"), .watchdog])
        #expect(reports.beginReload(at: 12) == [.reloading(monotonicMicroseconds: 12)])
        #expect(reports.look("Not ready", isAlive: true) == [.watchdog])
        #expect(reports.endReload("Ready") == [.ready, .status("Ready")])
        #expect(reports.beginReload(at: 13) == [.reloading(monotonicMicroseconds: 13)])
        #expect(reports.endReload("Ready") == [.ready])
        #expect(
            reports.stop("Draining", within: .seconds(35))
                == [.stopping, .status("Draining"), .extendTimeout(.seconds(35))])
        #expect(reports.look("Draining", isAlive: true) == [.watchdog])
    }

    @Test func whatIsSilentIsNotAlive() {
        var reports = SupervisorReports(keepsWatch: true)
        _ = reports.start("Ready")
        #expect(reports.look("Not ready", isAlive: false) == [.status("Not ready")])
        #expect(reports.look("Not ready", isAlive: false) == [])
        _ = reports.stop("Draining", within: .zero)
        #expect(reports.look("Draining", isAlive: false) == [])
    }

    @Test func nobodyIsToldOfLifeWhoDidNotAsk() {
        var reports = SupervisorReports(keepsWatch: false)
        _ = reports.start("Ready")
        #expect(reports.look("Ready", isAlive: true) == [])
        #expect(reports.look("Degraded", isAlive: true) == [.status("Degraded")])
    }

    @Test func theEndIsTheLastWord() {
        var early = SupervisorReports(keepsWatch: true)
        _ = early.stop("Draining", within: .zero)
        #expect(early.start("Ready") == [])
        #expect(early.beginReload(at: 1) == [])
        #expect(early.endReload("Ready") == [])
        #expect(early.look("Ready", isAlive: true) == [.watchdog])

        var reloading = SupervisorReports(keepsWatch: true)
        _ = reloading.start("Ready")
        _ = reloading.beginReload(at: 1)
        #expect(reloading.stop("Draining", within: .zero).first == .stopping)
        #expect(reloading.endReload("Ready") == [])
        #expect(reloading.stop("Draining", within: .zero) == [])
    }

    @Test func eachNoticeIsALine() {
        #expect(
            SupervisorNotice.message([.ready, .status("Ready, listening on 127.0.0.1:8080")])
                == "READY=1\nSTATUS=Ready, listening on 127.0.0.1:8080")
        #expect(
            SupervisorNotice.message([.reloading(monotonicMicroseconds: 1_234_567)])
                == "RELOADING=1\nMONOTONIC_USEC=1234567")
        #expect(
            SupervisorNotice.message([.stopping, .extendTimeout(.milliseconds(35_001))])
                == "STOPPING=1\nEXTEND_TIMEOUT_USEC=35001000")
        #expect(SupervisorNotice.message([.watchdog]) == "WATCHDOG=1")
    }

    @Test func aStatusIsOneLineThatIsNotLong() {
        #expect(SupervisorNotice.message([.status("a\nREADY=1\r\u{2028}b")]) == "STATUS=a\\u{A}READY=1\\u{D}\\u{2028}b")
        #expect(SupervisorNotice.message([.status(String(repeating: "a", count: 2_000))]).utf8.count == 7 + 1_024)
        // No letter is cut in two.
        let wide = SupervisorNotice.message([.status("a" + String(repeating: "é", count: 2_000))])
        #expect(wide == "STATUS=a" + String(repeating: "é", count: 511))
    }
}
