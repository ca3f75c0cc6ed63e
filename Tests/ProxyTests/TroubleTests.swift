// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import Synchronization
import Testing

@testable import Proxy

@Suite struct TroubleTests {
    private final class Lines: Sendable {
        let all = Mutex<[String]>([])
    }

    private struct Recorder: LogHandler {
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let values = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }
            lines.all.withLock { $0.append("\(event.level) \(event.message) \(values.joined(separator: " "))") }
        }
    }

    private let lines = Lines()
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let failure = IOError(errnoCode: 24, reason: "accept")

    private var told: [String] { lines.all.withLock { $0 } }

    private func makeTrouble() -> Trouble {
        Trouble(logger: Logger(label: "test") { _ in Recorder(lines: lines) }, began: "began", ended: "ended")
    }

    @Test func isToldOnceUntilItIsOver() {
        let trouble = makeTrouble()
        for step in 0..<100 {
            trouble.failed(failure, at: start + .milliseconds(Int64(step)))
            trouble.succeeded()
            trouble.settle(at: start + .milliseconds(Int64(step)))
        }
        #expect(told == ["error began error=Too many open files"])
        trouble.settle(at: start + .milliseconds(99) + .seconds(5) - .nanoseconds(1))
        #expect(told.count == 1)
        trouble.settle(at: start + .milliseconds(99) + .seconds(5))
        #expect(told.dropFirst() == ["notice ended failures=100"])
        trouble.settle(at: start + .seconds(60))
        #expect(told.count == 2)
        trouble.failed(failure, at: start + .seconds(61))
        #expect(told.dropFirst(2) == ["error began error=Too many open files"])
    }

    @Test func isNotOverBecauseNobodyTries() {
        let trouble = makeTrouble()
        trouble.succeeded()
        trouble.failed(failure, at: start)
        trouble.settle(at: start + .seconds(3600))
        #expect(told.count == 1)
        trouble.succeeded()
        trouble.settle(at: start + .seconds(3600))
        #expect(told.dropFirst() == ["notice ended failures=1"])
    }

    @Test func successesAloneAreNoNews() {
        let trouble = makeTrouble()
        trouble.succeeded()
        trouble.settle(at: start + .seconds(60))
        #expect(told.isEmpty)
    }
}
