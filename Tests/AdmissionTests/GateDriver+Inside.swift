// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import NIOCore
@testable import Limits

@testable import Admission

// What a test has to look for within a gate.
extension GateDriver {
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

    /// Asks about plans at once, and returns when it goes by these numbers of one.
    func adopts(_ limits: String, of plan: String) async throws {
        let (gate, overrides) = (gate, LimitOverrides(parsing: limits))
        func adopted() async throws -> Bool {
            try await gate.eventLoop.submit {
                gate.value.plans.poll(.now() + PlanBook.pollInterval)
                return gate.value.plans.overrides(of: plan) == overrides
            }.get()
        }
        while try await !adopted() { try await Task.sleep(for: .milliseconds(1)) }
    }

    func isReady() async throws -> Bool {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.fault == nil }.get()
    }

    /// Decisions that wait for an answer of Redis.
    func pending() async throws -> Int {
        let gate = gate
        return try await gate.eventLoop.submit { gate.value.waits.count }.get()
    }
}
