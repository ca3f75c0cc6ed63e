// SPDX-License-Identifier: Apache-2.0

package import Admission
package import Endpoints
package import Limits
import Logging
package import NIOCore
import NIOPosix

/// How regularly a loop's ticks come.
private struct Pace {
    static let interval = TimeAmount.milliseconds(10)

    var lastTick: NIODeadline
    /// By how much they came late, all of them together.
    var late = TimeAmount.zero

    mutating func tick(at now: NIODeadline) {
        late = late + max(.zero, now - lastTick - Self.interval)
        lastTick = now
    }
}

/// How an admitted request ended.
package enum Ending {
    case unserved
    /// 200, and the handler says it has cost this.
    case answered(cost: Int)

    fileprivate var outcome: Outcome {
        switch self {
        case .unserved: .unserved
        case .answered(let cost): .answered(status: 200) { _ in cost }
        }
    }
}

/// Asks a gate from outside its loop, and ticks it every 10 ms.
package final class GateDriver: Sendable {
    private let group: MultiThreadedEventLoopGroup
    package let gate: NIOLoopBound<Gate>
    private let ticking: RepeatedTask
    private let pace: NIOLoopBoundBox<Pace>
    private let waiters: NIOLoopBoundBox<[(isReady: Bool, continuation: CheckedContinuation<Void, Never>)]>
    private let receipts: NIOLoopBoundBox<[Receipt]>
    package let policies: [Policy]

    package init(
        _ configuration: AdmissionConfiguration, _ endpoint: RedisEndpoint, _ instance: Instance, _ seen: SeenKeys
    ) async throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        policies = configuration.policies
        (gate, ticking, waiters, pace, receipts) = try await loop.submit {
            var logger = Logger(label: "tollgate")
            logger.logLevel = .critical
            let gate = Gate(
                configuration: configuration, endpoint: endpoint, instance: instance, on: loop, logger: logger,
                recordCapacity: 100, seen: seen)
            gate.start()
            let bound = NIOLoopBound(gate, eventLoop: loop)
            let waiters = NIOLoopBoundBox<[(isReady: Bool, continuation: CheckedContinuation<Void, Never>)]>(
                [], eventLoop: loop)
            let pace = NIOLoopBoundBox(Pace(lastTick: .now()), eventLoop: loop)
            let tick = loop.scheduleRepeatedTask(initialDelay: .zero, delay: Pace.interval) { _ in
                let gate = bound.value
                pace.value.tick(at: .now())
                gate.expire(now: .now())
                let due = waiters.value.filter { $0.isReady == (gate.fault == nil) }
                waiters.value.removeAll { $0.isReady == (gate.fault == nil) }
                due.forEach { $0.continuation.resume() }
            }
            return (bound, tick, waiters, pace, NIOLoopBoundBox<[Receipt]>([], eventLoop: loop))
        }.get()
    }

    /// Closes the gate; it still answers.
    package func close() async throws {
        let gate = gate
        try await gate.eventLoop.flatSubmit { gate.value.close() }.get()
    }

    /// Closes it, and ends its loop.
    package func stop() async throws {
        ticking.cancel()
        try await close()
        try await group.shutdownGracefully()
    }

    /// Returns at the first tick at which the gate is (not) ready.
    package func becomesReady(_ isReady: Bool = true) async {
        let waiters = waiters
        await withCheckedContinuation { continuation in
            gate.eventLoop.execute { waiters.value.append((isReady, continuation)) }
        }
    }

    package func admit(
        _ kind: AdmissionRequest.Kind = .protected, key: String? = nil, from address: String = "203.0.113.9",
        client: IPAddress? = nil, route: String? = "/mcp", method: String = "POST", isThrottled: Bool = true
    ) async -> Decision {
        await timed(
            kind, key: key, from: address, client: client, route: route, method: method, isThrottled: isThrottled
        ).decision
    }

    /// A request that calls tools, at these costs by each policy, and what became of it, if it was admitted.
    package func call(
        _ tools: [String?], key: String, costs: [Int]? = nil, session: String? = nil, endsAs ending: Ending? = nil
    ) async -> Decision {
        let (gate, policies) = (gate, policies)
        return await withCheckedContinuation { continuation in
            gate.eventLoop.execute {
                var selection = PolicySelection()
                for index in policies.indices { selection.append(index, cost: costs?[index] ?? policies[index].cost) }
                let request = AdmissionRequest(
                    kind: .protected, credential: .presented(Array("mcp_\(key)".utf8)), address: "203.0.113.9",
                    selection: selection, session: session.map { Array($0.utf8) },
                    tools: tools.map { $0.map { Array($0.utf8) } })
                gate.value.admit(request, at: .now()) { decision, receipt in
                    if let receipt, let ending { gate.value.account(for: receipt, ending.outcome) }
                    continuation.resume(returning: decision)
                }
            }
        }
    }

    /// A decision, the time from the question to it on the gate's loop, and how much of it the loop stood still: on a busy
    /// machine the gate can be no better than that.
    package func timed(
        _ kind: AdmissionRequest.Kind = .protected, key: String? = nil, from address: String = "203.0.113.9",
        client: IPAddress? = nil, route: String? = "/mcp", method: String = "POST", isThrottled: Bool = true
    ) async -> (decision: Decision, took: TimeAmount, stall: TimeAmount) {
        let (gate, policies, pace, receipts) = (gate, policies, pace, receipts)
        return await withCheckedContinuation { continuation in
            gate.eventLoop.execute {
                let request = AdmissionRequest(
                    kind: kind, isThrottled: isThrottled,
                    credential: key.map { .presented(Array("mcp_\($0)".utf8)) } ?? .absent, address: address,
                    clientAddress: client,
                    selection: PolicySelection(of: policies, routes: route.map { [$0] } ?? [], method: method))
                var answers = 0
                let start = NIODeadline.now()
                pace.value = Pace(lastTick: start)
                gate.value.admit(request, at: start) { decision, receipt in
                    if let receipt { receipts.value.append(receipt) }
                    answers += 1
                    precondition(answers == 1, "A decision is given once")
                    pace.value.tick(at: .now())
                    continuation.resume(returning: (decision, .now() - start, pace.value.late))
                }
            }
        }
    }

    /// Asks until Redis' answer about the key has come in time, so that its record is at hand.
    package func knows(_ key: String) async {
        while await admit(key: key).isUnavailable {}
    }

    /// Ends the response of the oldest admission that has a receipt.
    package func release() async throws {
        let (gate, receipts) = (gate, receipts)
        try await gate.eventLoop.submit {
            if !receipts.value.isEmpty { gate.value.release(receipts.value.removeFirst()) }
        }.get()
    }

    /// Says how the newest admission that has a receipt has ended.
    package func account(_ outcome: @escaping @Sendable () -> Outcome) async throws {
        let (gate, receipts) = (gate, receipts)
        try await gate.eventLoop.submit {
            if let receipt = receipts.value.last { gate.value.account(for: receipt, outcome()) }
        }.get()
    }

    package func policyCounters() async throws -> [PolicyCounters] {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.policyCounters }.get()
    }

    package func traffic() async throws -> RedisTraffic {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.traffic }.get()
    }

    package func counters() async throws -> GateCounters {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.counters }.get()
    }
}

extension Decision {
    package var reason: Denial.Reason? {
        if case .deny(let denial) = self { denial.reason } else { nil }
    }

    package var limits: LimitReport? {
        switch self {
        case .allow(let grant): grant.limits
        case .deny(let denial): denial.limits
        }
    }

    package var isAllowed: Bool { reason == nil }

    /// `[left, left…]` in list order.
    package var remaining: [Int] { limits?.statuses.map(\.remaining) ?? [] }

    package var isUnavailable: Bool {
        switch reason {
        case .limiterUnavailable, .limiterSlow: true
        default: false
        }
    }
}
