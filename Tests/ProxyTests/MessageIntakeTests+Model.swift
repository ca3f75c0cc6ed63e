// SPDX-License-Identifier: Apache-2.0

import Admission
import NIOCore
import TestSupport
import Testing

@testable import Proxy

extension MessageIntakeTests {
    /// Random orders of what may come of a message, cut anywhere: the invariants in ``MessageIntake``'s comment hold after
    /// each.
    @Test func keepsItsInvariantsInAnyOrder() throws {
        let kinds = try [
            Incoming(posting: []), Incoming("POST /mcp", ["Content-Length: 9"]),
            Incoming("POST /mcp", ["Content-Length: 9"], by: "routes: [{path: /mcp, mcp: true, public: true}]"),
            Incoming("GET /mcp", ["Accept: text/event-stream"]),
        ]
        var random = SplitMix(seed: 1914)
        for schedule in 0..<Rounds.usually(100_000) {
            var run = Run(kinds[random.next(below: kinds.count)])
            run.open()
            for _ in 0..<12 where run.violation == nil { run.step(using: &random) }
            run.release()
            #expect(run.violation == nil, "schedule \(schedule)")
            if run.violation != nil { return }
        }
    }

    private struct Run {
        private static let short = [ByteBuffer(string: "{\"id\":1,"), ByteBuffer(string: "\"method\":\"a\"}")]
        /// What it begins with is no JSON, so that nobody reads the rest.
        private static let long = ByteBuffer(repeating: UInt8(ascii: "}"), count: 20_000)

        private(set) var violation: String?
        private var incoming: Incoming
        private var isAnnounced = false
        private var isReading = false
        private var isWhole = false
        private var outcomes = 0
        private var granted = 0

        init(_ incoming: Incoming) { self.incoming = incoming }

        mutating func open() {
            switch incoming.open() {
            case .announce(let request):
                if case .announced = request.kind { isAnnounced = true } else { violation = "announced as a call" }
            case .read: isAnnounced = true
            case .ask, .refuse: outcomes += 1
            }
        }

        mutating func step(using random: inout SplitMix) {
            switch random.next(below: 10) {
            case 0...1: read()
            case 2...5: receive(Self.short[random.next(below: 2)], hasRoom: true)
            case 6: receive(Self.long, hasRoom: random.next(below: 4) > 0)
            case 7: end()
            case 8: abandon(isLate: .random(using: &random))
            default: if random.next(below: 3) == 0 { release() }
            }
        }

        private mutating func read() {
            guard isAnnounced, !isReading else { return }
            isReading = true
            incoming.intake.read(for: incoming.holder)
        }

        private mutating func receive(_ payload: ByteBuffer, hasRoom: Bool) {
            guard isReading, !isWhole else { return }
            var asked = 0
            let reception = incoming.intake.receive(payload) { bytes, _ in
                asked = bytes
                return hasRoom
            }
            if asked < 0 { violation = "asked for \(asked) bytes of room" }
            switch reception {
            case .kept:
                if asked > 0, !hasRoom { violation = "kept without room" }
                granted += asked
            case .refuse(_, let charged):
                if hasRoom { violation = "refused where there is room" }
                if charged != nil { outcomes += 1 }
            }
            check()
        }

        private mutating func end() {
            guard isReading, !isWhole else { return }
            isWhole = true
            switch incoming.intake.end(nil, by: incoming.snapshot, incoming.falseStreams, at: incoming.now, rules: nil)
            {
            case .unasked: break
            case .ask(let request):
                outcomes += 1
                if case .announced = request.kind { violation = "asked as an announcement" }
            case .refuse: outcomes += 1
            }
            check()
        }

        private mutating func abandon(isLate: Bool) {
            guard let charged = incoming.intake.abandon(isLate: isLate) else { return }
            outcomes += 1
            if !isReading { violation = "charged for a body that nobody read" }
            if !isLate, granted == 0 { violation = "charged for nothing" }
            if case .protected = charged.kind { violation = "charged as a call" }
            check()
        }

        mutating func release() {
            let room = incoming.intake.release()
            if room?.bytes ?? 0 != granted { violation = "\(granted) granted, \(room?.bytes ?? 0) given back" }
            if isReading, room == nil, incoming.intake.held != nil { violation = "keeps the body" }
            granted = 0
            if isReading { (isReading, isAnnounced) = (false, false) }
        }

        private mutating func check() {
            if outcomes > 1 { violation = "\(outcomes) outcomes" }
        }
    }
}
