// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Redis
import Synchronization
import TestSupport
@testable import Keyspace
@testable import Limits
@testable import Octets

@testable import Admission

/// A private Redis, what tollgatectl would write into it, and gates to ask: one for each sidecar.
final class Tollbooth: Sendable {
    private let server: RedisServer
    let client: RedisClient

    private let gates = Mutex<[GateDriver]>([])

    /// Lends one to the body and puts everything away after it, whatever happens.
    ///
    /// - Parameter persists: nothing is lost when the server is killed.
    static func open(persists: Bool = false, _ body: (Tollbooth) async throws -> Void) async throws {
        try await RedisServer.run(.init(persists: persists)) { server in
            let endpoint = RedisEndpoint(.unix(path: server.socketPath))
            let booth = Tollbooth(server: server, client: try await .connect(to: endpoint, timeout: .seconds(30)))
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(booth))
            } catch {
                result = .failure(error)
            }
            booth.client.close()
            for gate in booth.gates.withLock({ $0 }) { try await gate.stop() }
            try result.get()
        }
    }

    private init(server: RedisServer, client: RedisClient) {
        self.server = server
        self.client = client
    }

    // MARK: The server

    var endpoint: RedisEndpoint { RedisEndpoint(.unix(path: server.socketPath)) }

    func kill() async throws { try await server.kill() }

    /// Again, after it was killed.
    func start() async throws { try await server.start() }

    func freeze() async throws { try await server.freeze() }

    func thaw() async throws { try await server.thaw() }

    // MARK: Records, in the words of docs/design.md, "What is in Redis"

    static func revision() -> String {
        let digits = String(UInt64.random(in: 1 ... .max), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    func organization(
        _ name: String, status: String = "active", limits: String = "", plan: String = ""
    ) async throws {
        try await set(
            "tg:1:{\(name)}",
            [
                "rev": Self.revision(), "name": name, "status": status, "limits": limits, "plan": plan,
                "created_at": "1763866666",
            ])
    }

    func plan(_ name: String, limits: String) async throws {
        try await set("tg:1:plan:\(name)", ["limits": limits])
        _ = try await client.send("SET", "tg:1:plans", Self.revision())
    }

    /// A key `mcp_<id>` of the organization, as it would be issued now.
    func key(_ id: String, of organization: String, _ fields: [String: String] = [:]) async throws {
        let hash = String(decoding: CredentialHash(of: Array("mcp_\(id)".utf8)).hexadecimal, as: UTF8.self)
        let record = [
            "organization_id": organization, "key_hash": hash, "is_active": "1", "name": id, "subject": id,
            "created_at": "1763866666", "limits": "",
        ].merging(fields) { $1 }
        try await set("tg:1:{\(organization)}:k:\(id)", record)
        _ = try await client.send("SET", "tg:1:cred:\(hash)", "\(organization) \(id)")
        try await touch(organization)
    }

    /// Changes fields of a key, as every change does together with the revision.
    func change(_ id: String, of organization: String, _ fields: [String: String]) async throws {
        try await set("tg:1:{\(organization)}:k:\(id)", fields)
        try await touch(organization)
    }

    func touch(_ organization: String) async throws {
        try await set("tg:1:{\(organization)}", ["rev": Self.revision()])
    }

    private func set(_ key: String, _ fields: [String: String]) async throws {
        var command = RedisCommand("HSET")
        command.append(key)
        for (name, value) in fields {
            command.append(name)
            command.append(value)
        }
        _ = try await client.send(command)
    }

    /// What the buckets of Redis are called, in order.
    func buckets() async throws -> [String] {
        let names = try await client.send("KEYS", "*:b:*").array ?? []
        return names.compactMap(\.text).sorted()
    }

    // MARK: Gates

    /// A gate on a loop of its own, connected unless told otherwise. Its budget is so long that a busy machine changes no
    /// answer; tests of the budget set the real one.
    func gate(
        _ policies: [Policy] = Policy.builtIn(), instance: Instance = Instance(), isAwaited: Bool = true,
        _ adjust: (inout AdmissionConfiguration) -> Void = { _ in }
    ) async throws -> GateDriver {
        var configuration = AdmissionConfiguration(
            policies: policies, format: CredentialFormat(prefix: "mcp_", accept: []), timeout: .seconds(20))
        adjust(&configuration)
        let gate = try await GateDriver(configuration, endpoint, instance)
        gates.withLock { $0.append(gate) }
        if isAwaited { await gate.becomesReady() }
        return gate
    }
}

/// How regularly a loop's ticks come.
private struct Pace {
    var lastTick: NIODeadline
    var longest = TimeAmount.zero

    mutating func tick(at now: NIODeadline) {
        longest = max(longest, now - lastTick)
        lastTick = now
    }
}

/// How an admitted request ended.
enum Ending {
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
final class GateDriver: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let gate: NIOLoopBound<Gate>
    private let ticking: RepeatedTask
    private let pace: NIOLoopBoundBox<Pace>
    private let waiters: NIOLoopBoundBox<[(isReady: Bool, continuation: CheckedContinuation<Void, Never>)]>
    private let receipts: NIOLoopBoundBox<[Receipt]>
    let policies: [Policy]

    init(_ configuration: AdmissionConfiguration, _ endpoint: RedisEndpoint, _ instance: Instance) async throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        policies = configuration.policies
        (gate, ticking, waiters, pace, receipts) = try await loop.submit {
            var logger = Logger(label: "tollgate")
            logger.logLevel = .critical
            let gate = Gate(
                configuration: configuration, endpoint: endpoint, instance: instance, on: loop, logger: logger,
                recordCapacity: 100)
            gate.start()
            let bound = NIOLoopBound(gate, eventLoop: loop)
            let waiters = NIOLoopBoundBox<[(isReady: Bool, continuation: CheckedContinuation<Void, Never>)]>(
                [], eventLoop: loop)
            let pace = NIOLoopBoundBox(Pace(lastTick: .now()), eventLoop: loop)
            let tick = loop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(10)) { _ in
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
    func close() async throws {
        let gate = gate
        try await gate.eventLoop.flatSubmit { gate.value.close() }.get()
    }

    /// Closes it, and ends its loop.
    func stop() async throws {
        ticking.cancel()
        try await close()
        try await group.shutdownGracefully()
    }

    /// Returns at the first tick at which the gate is (not) ready.
    func becomesReady(_ isReady: Bool = true) async {
        let waiters = waiters
        await withCheckedContinuation { continuation in
            gate.eventLoop.execute { waiters.value.append((isReady, continuation)) }
        }
    }

    func admit(
        _ kind: AdmissionRequest.Kind = .protected, key: String? = nil, from address: String = "203.0.113.9",
        client: IPAddress? = nil, route: String? = "/mcp", method: String = "POST", isThrottled: Bool = true
    ) async -> Decision {
        await timed(
            kind, key: key, from: address, client: client, route: route, method: method, isThrottled: isThrottled
        ).decision
    }

    /// A request that calls tools, at these costs by each policy, and what became of it, if it was admitted.
    func call(
        _ tools: [String?], key: String, costs: [Int]? = nil, session: String? = nil, endsAs ending: Ending? = nil
    ) async -> Decision {
        let (gate, policies) = (gate, policies)
        return await withCheckedContinuation { continuation in
            gate.eventLoop.execute {
                var selection = PolicySelection()
                for index in policies.indices { selection.append(index, cost: costs?[index] ?? policies[index].cost) }
                var request = AdmissionRequest(
                    kind: .protected, credential: .presented(Array("mcp_\(key)".utf8)), address: "203.0.113.9",
                    selection: selection)
                request.tools = tools.map { $0.map { Array($0.utf8) } }
                request.session = session.map { Array($0.utf8) }
                gate.value.admit(request, at: .now()) { decision, receipt in
                    if let receipt, let ending { gate.value.account(for: receipt, ending.outcome) }
                    continuation.resume(returning: decision)
                }
            }
        }
    }

    /// As if a key known to the gate had called without a tool, whether Redis is there or not.
    func countCall(of key: String) async throws {
        let gate = gate
        try await gate.eventLoop.submit {
            let gate = gate.value
            let hash = CredentialHash(of: Array("mcp_\(key)".utf8))
            guard let entry = gate.cache.last(hash) else { preconditionFailure("The gate knows the key") }
            gate.meter.count(Caller(entry: entry, hash: hash))
        }.get()
    }

    /// What the gate has counted; what is on its way to Redis is left out.
    func counted() async throws -> UsageTable.Count {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.meter.counted }.get()
    }

    /// A decision, the time from the question to it on the gate's loop, and the longest that the loop went without a tick
    /// meanwhile: on a busy machine the gate can be no better than that.
    func timed(
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
                    continuation.resume(returning: (decision, .now() - start, pace.value.longest))
                }
            }
        }
    }

    /// Asks about plans at once, and returns when it goes by these numbers of one.
    func adopts(_ limits: String, of plan: String) async throws {
        let (gate, overrides) = (gate, LimitOverrides(parsing: limits))
        func adopted() async throws -> Bool {
            try await gate.eventLoop.submit {
                gate.value.plans.pollSoon()
                return gate.value.plans.overrides(of: plan) == overrides
            }.get()
        }
        while try await !adopted() { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// Asks until Redis' answer about the key has come in time, so that its record is at hand.
    func knows(_ key: String) async {
        while await admit(key: key).isUnavailable {}
    }

    /// Ends the response of the oldest admission that has a receipt.
    func release() async throws {
        let (gate, receipts) = (gate, receipts)
        try await gate.eventLoop.submit {
            if !receipts.value.isEmpty { gate.value.release(receipts.value.removeFirst()) }
        }.get()
    }

    /// Says how the newest admission that has a receipt has ended.
    func account(_ outcome: @escaping @Sendable () -> Outcome) async throws {
        let (gate, receipts) = (gate, receipts)
        try await gate.eventLoop.submit {
            if let receipt = receipts.value.last { gate.value.account(for: receipt, outcome()) }
        }.get()
    }

    /// Decisions that wait for an answer of Redis.
    func pending() async throws -> Int {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.waits.count }.get()
    }

    func policyCounters() async throws -> [PolicyCounters] {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.policyCounters }.get()
    }

    func counters() async throws -> GateCounters {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.counters }.get()
    }
}

extension RedisClient {
    /// Any octets, as `send` takes texts alone.
    func set(_ key: String, to octets: [UInt8], expiringIn milliseconds: Int64? = nil) async throws -> RedisReply {
        var command = RedisCommand("SET")
        command.append(key)
        command.append(bytes: octets)
        if let milliseconds {
            command.append("PX")
            command.append(milliseconds)
        }
        return try await send(command)
    }
}

extension Decision {
    var reason: Denial.Reason? {
        if case .deny(let denial) = self { denial.reason } else { nil }
    }

    var limits: LimitReport? {
        switch self {
        case .allow(let grant): grant.limits
        case .deny(let denial): denial.limits
        }
    }

    var isAllowed: Bool { reason == nil }

    /// `[left, left…]` in list order.
    var remaining: [Int] { limits?.statuses.map(\.remaining) ?? [] }

    var isUnavailable: Bool {
        switch reason {
        case .limiterUnavailable, .limiterSlow: true
        default: false
        }
    }
}
