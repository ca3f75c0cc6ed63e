// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore
import NIOPosix
import Testing

@testable import Proxy

@Suite struct UpstreamAttemptTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let refused = IOError(errnoCode: ECONNREFUSED, reason: "connect")
    private static let slow = ChannelError.connectTimeout(.seconds(1))

    private func at(_ milliseconds: Int64) -> NIODeadline { start + .milliseconds(milliseconds) }

    @Test func eachAddressIsTriedOnceAndTheTimeIsDivided() {
        var targets = UpstreamTargets(addresses("6a 4a"))
        var attempt = UpstreamAttempt(until: at(1_000))
        let first = attempt.next(of: targets, at: at(0))
        #expect(first.written == "6a within 500 ms")
        fail(first, &attempt, &targets, Self.slow)
        let second = attempt.next(of: targets, at: at(510))
        #expect(second.written == "4a within 490 ms")
        fail(second, &attempt, &targets, Self.refused)
        #expect(attempt.next(of: targets, at: at(511)).written == "ask")
        // The name has another one meanwhile.
        targets.replace(with: addresses("4a 4b"))
        let third = attempt.next(of: targets, at: at(600))
        #expect(third.written == "4b within 400 ms")
        fail(third, &attempt, &targets, Self.refused)
        // Asked once, and no more.
        #expect(attempt.next(of: targets, at: at(601)).written == "502")
    }

    @Test func manyAddressesHaveAtLeastATenthOfASecondEach() {
        let targets = UpstreamTargets(addresses("4a 4b 4c 4d 4e 4f 4g 4h 4i 4j 4k 4l"))
        var attempt = UpstreamAttempt(until: at(1_000))
        #expect(attempt.next(of: targets, at: at(0)).written == "4a within 100 ms")
        #expect(attempt.next(of: targets, at: at(950)).written == "4a within 50 ms")
    }

    @Test func itEndsWithItsTime() {
        var targets = UpstreamTargets(addresses("4a 4b"))
        var attempt = UpstreamAttempt(until: at(1_000))
        let step = attempt.next(of: targets, at: at(0))
        fail(step, &attempt, &targets, Self.slow)
        // So that the next one knows more; this one has no time to wait for the answer.
        #expect(attempt.next(of: targets, at: at(1_000)).written == "ask")
        #expect(attempt.next(of: targets, at: at(1_000)).written == "504")
    }

    /// As at a Unix socket whose queue is full, where the last look comes after the time is over.
    @Test func whatWasWaitedForIsWhyThereIsNone() {
        let targets = UpstreamTargets(addresses("4a"))
        var attempt = UpstreamAttempt(until: at(1_000))
        #expect(attempt.next(of: targets, at: at(0)).written == "4a within 1000 ms")
        attempt.waits(because: IOError(errnoCode: EAGAIN, reason: "connect"))
        #expect(attempt.next(of: targets, at: at(900)).written == "4a within 100 ms")
        #expect(attempt.next(of: targets, at: at(1_001)).written == "ask")
        #expect(Exchange.Fault(connecting: attempt.error) == .upstreamConnectTimeout)
    }

    @Test func aNameWithoutAnAddressIsAskedForAndLeadsNowhere() {
        var attempt = UpstreamAttempt(until: at(1_000))
        #expect(attempt.next(of: UpstreamTargets([]), at: at(0)).written == "ask")
        #expect(attempt.next(of: UpstreamTargets([]), at: at(1)).written == "502")
        #expect("\(attempt.error)" == "its name has no address")
    }

    @Test(
        arguments: [
            // Nothing else would have a descriptor either.
            (EMFILE, "503"), (ENFILE, "503"), (ENOBUFS, "503"), (ENOMEM, "503"),
            // `::1` where IPv6 is switched off, or a kernel without it.
            (EADDRNOTAVAIL, "4a within 500 ms"), (EAFNOSUPPORT, "4a within 500 ms"), (ENETUNREACH, "4a within 500 ms"),
            (EHOSTUNREACH, "4a within 500 ms"), (ECONNREFUSED, "4a within 500 ms"), (EACCES, "4a within 500 ms"),
        ])
    func whatIsOursEndsIt(code: CInt, next: String) {
        var targets = UpstreamTargets(addresses("6a 4a"))
        var attempt = UpstreamAttempt(until: at(500))
        let step = attempt.next(of: targets, at: at(0))
        fail(step, &attempt, &targets, IOError(errnoCode: code, reason: "connect"))
        #expect(attempt.next(of: targets, at: at(0)).written == next)
    }

    @Test(arguments: [[EADDRNOTAVAIL, ECONNREFUSED], [ECONNREFUSED, EADDRNOTAVAIL]])
    func aHandlerThatIsDownIsNotOurWant(codes: [CInt]) {
        var targets = UpstreamTargets(addresses("6a 4a"))
        var attempt = UpstreamAttempt(until: at(500))
        for code in codes {
            let step = attempt.next(of: targets, at: at(0))
            fail(step, &attempt, &targets, IOError(errnoCode: code, reason: "connect"))
        }
        #expect(Exchange.Fault(connecting: attempt.error) == .upstreamUnreachable)
    }

    private func fail(
        _ step: UpstreamAttempt.Step, _ attempt: inout UpstreamAttempt, _ targets: inout UpstreamTargets,
        _ error: any Error
    ) {
        guard case .connect(let target, _) = step else { return #expect(Bool(false), "\(step.written)") }
        attempt.failed(target, error)
        targets.failed(target)
    }
}

extension UpstreamAttempt.Step {
    /// What is done; of giving up the status.
    fileprivate var written: String {
        switch self {
        case .connect(let target, let time): "\(target.written) within \(time.nanoseconds / 1_000_000) ms"
        case .ask: "ask"
        case .giveUp(let error): "\(Refusal.standIn(for: Exchange.Fault(connecting: error), bodyLimit: 0).status)"
        }
    }
}
