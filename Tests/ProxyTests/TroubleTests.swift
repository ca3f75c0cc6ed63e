// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import TestSupport
import Testing

@testable import Proxy

@Suite struct TroubleTests {
    private let log = RecordedLog()
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let failure = IOError(errnoCode: 24, reason: "accept")

    private var told: [String] { log.lines }

    private func makeTrouble() -> Trouble {
        Trouble(logger: log.logger, began: "began", ended: "ended")
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

    @Test func anotherErrorIsToldNowAndThen() {
        let (trouble, other) = (makeTrouble(), IOError(errnoCode: 23, reason: "accept"))
        trouble.failed(failure, at: start)
        trouble.failed(other, at: start + .seconds(5) - .nanoseconds(1))
        #expect(told.count == 1)
        for step in 0..<100 { trouble.failed(other, at: start + .seconds(5) + .milliseconds(Int64(step))) }
        #expect(told.dropFirst() == ["error began error=Too many open files in system"])
        trouble.failed(other, at: start + .seconds(60))
        #expect(told.count == 2)
        // Each is told once, also where they take turns.
        for step in 0..<100 { trouble.failed(step % 2 == 0 ? failure : other, at: start + .seconds(61 + Int64(step))) }
        #expect(told.count == 2)
        trouble.succeeded()
        trouble.settle(at: start + .seconds(200))
        trouble.failed(failure, at: start + .seconds(201))
        #expect(told.dropFirst(3) == ["error began error=Too many open files"])
    }

    @Test func errorsWithoutEndAreToldUpToABound() {
        struct Numbered: Error, CustomStringConvertible {
            let description: String
        }
        let trouble = makeTrouble()
        for step in 0..<100 {
            trouble.failed(Numbered(description: "\(step)"), at: start + .seconds(Int64(step) * 6))
        }
        #expect(told == (0..<8).map { "error began error=\($0)" })
    }

    /// A reload names another handler, which fails alike.
    @Test func anotherHandlerIsNews() {
        func handler(_ name: String, _ address: String) -> Trouble.Handler {
            Trouble.Handler(name: name, address: address)
        }
        let trouble = makeTrouble()
        trouble.failed(failure, of: handler("app:81", "10.0.0.1:81"), at: start)
        trouble.failed(failure, of: handler("app:81", "10.0.0.2:81"), at: start + .seconds(6))
        trouble.failed(failure, of: handler("other:81", "10.0.0.3:81"), at: start + .seconds(12))
        #expect(
            told == [
                "error began error=Too many open files upstream.address=10.0.0.1:81",
                "error began error=Too many open files upstream.address=10.0.0.3:81",
            ])
    }

    @Test func thePresentFailureIsOfOneHandlerUntilASuccess() throws {
        let trouble = makeTrouble()
        let (one, other) = (
            Trouble.Handler(name: "a", address: "a:1"), Trouble.Handler(name: "b", address: "b:1")
        )
        #expect(trouble.present(of: "a") == nil)
        trouble.failed(failure, of: one, at: start)
        let first = try #require(trouble.present(of: "a"))
        #expect(first.error == "Too many open files")
        trouble.failed(IOError(errnoCode: 23, reason: "connect"), of: one, at: start + .seconds(1))
        let second = try #require(trouble.present(of: "a"))
        #expect(second == UpstreamFailure(since: first.since, error: "Too many open files in system"))
        #expect(trouble.present(of: "b") == nil)
        trouble.failed(failure, of: other, at: start + .seconds(2))
        #expect(trouble.present(of: "a") == nil)
        #expect(trouble.present(of: "b")?.error == "Too many open files")
        trouble.succeeded()
        #expect(trouble.present(of: "b") == nil)
    }

    @Test func successesAloneAreNoNews() {
        let trouble = makeTrouble()
        trouble.succeeded()
        trouble.settle(at: start + .seconds(60))
        #expect(told.isEmpty)
    }
}
