// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import MCP
import Settings
import Testing

@testable import Proxy

/// By which status and in which form a refusal reaches the client of an `mcp` route.
@Suite struct RefusalDeliveryTests {
    private static let metadata =
        #"resource_metadata: {resource: "https://shop.example/mcp", authorization_servers: ["https://id.example"]}"#
    private static let modern = ["MCP-Protocol-Version: 2026-07-28"]

    private func delivery(
        _ refusal: Refusal, _ fields: [String] = [], method: String = "tools/call", mcp: String = ""
    ) throws -> Delivery {
        let settings = "routes: [{path: /mcp, mcp: true}]\nmcp: {\(mcp)}"
        let snapshot = try Snapshot(Settings.parse(settings, named: "test.yaml"))
        var message = MessageTraits(
            try RoutingHeads.head("/mcp", method: "POST", fields: fields), snapshot.messages)
        message.read(Messages([Message(kind: .request, method: Array(method.utf8), id: [0x31])]))
        return Delivery(of: refusal, to: message, by: snapshot)
    }

    private static func denied(_ reason: Denial.Reason) -> Refusal {
        Refusal.denied(Denial(reason: reason), policies: [], scopes: [])
    }

    private static let inBand = Delivery.answer(Delivery.Reply(id: [0x31], isToolResult: false))
    private static let toolResult = Delivery.answer(Delivery.Reply(id: [0x31], isToolResult: true))
    private static let status = Delivery.status(id: [0x31])

    /// A client of SDK 1.x loses its session to an HTTP error, and one of the new line takes a 429 for what it is.
    @Test(
        arguments: [
            (.rateLimited(policies: []), [], "tools/call", toolResult),
            (.rateLimited(policies: []), [], "tools/list", inBand),
            (.rateLimited(policies: []), [], "initialize", status),
            (.rateLimited(policies: []), modern, "tools/call", status),
            (.limiterSlow, [], "tools/call", toolResult), (.lookupBudget, modern, "tools/call", status),
            (.insufficientScope([]), [], "tools/call", toolResult),
            (.insufficientScope([]), modern, "tools/call", inBand),
            (.toolNotAllowed(nil), [], "tools/call", toolResult), (.addressNotAllowed, [], "tools/list", inBand),
            (.unknown, [], "tools/call", status), (.missing, modern, "tools/call", status),
            (.foreignSession, [], "tools/call", status),
        ] as [(Denial.Reason, [String], String, Delivery)])
    func isToldAsTheClientSurvives(reason: Denial.Reason, fields: [String], method: String, expected: Delivery) throws {
        #expect(try delivery(Self.denied(reason), fields, method: method) == expected)
    }

    @Test func whereOAuthIsConfiguredThe403SaysIt() throws {
        #expect(try delivery(Self.denied(.insufficientScope([])), mcp: Self.metadata) == Self.status)
        #expect(try delivery(Self.denied(.rateLimited(policies: [])), mcp: Self.metadata) == Self.toolResult)
    }

    @Test(
        arguments: [
            ("reject: http", nil, status), ("reject: jsonrpc", nil, inBand), ("reject: tool_error", nil, toolResult),
            ("reject: http", .jsonrpc, inBand), ("", .http, status), ("reject: jsonrpc", .toolError, toolResult),
        ] as [(String, Policy.Reject?, Delivery)])
    func theOperatorsChoiceHolds(mcp: String, own: Policy.Reject?, expected: Delivery) throws {
        let refusal = Self.denied(.rateLimited(policies: []))
        refusal.rejection = own
        #expect(try delivery(refusal, mcp: mcp) == expected)
    }

    @Test func withoutAMessageItIsAStatus() throws {
        let snapshot = try Snapshot(Settings.parse("routes: [{path: /mcp, mcp: true}]", named: "test.yaml"))
        #expect(
            Delivery(of: Self.denied(.rateLimited(policies: [])), to: nil, by: snapshot) == .status(id: nil))
    }
}
