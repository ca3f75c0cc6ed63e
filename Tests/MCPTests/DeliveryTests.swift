// SPDX-License-Identifier: Apache-2.0

import MCP
import Testing

/// Every row of the table in docs/mcp.md.
@Suite struct DeliveryTests {
    private static let call = Message(
        kind: .request, method: Array("tools/call".utf8), id: [0x31], target: .tool(Array("a".utf8)))
    private static let list = Message(kind: .request, method: Array("tools/list".utf8), id: [0x32])
    private static let initialize = Message(kind: .request, method: Array("initialize".utf8), id: [0x33])
    private static let notice = Message(kind: .notification, method: Array("notifications/x".utf8))
    private static let unnamed = Message(kind: .request, method: Array("ping".utf8), hasID: true)
    private static let other = Message(kind: .other)

    private static let asCall = Delivery.answer(.init(id: [0x31], isToolResult: true))
    private static let asError = Delivery.answer(.init(id: [0x31], isToolResult: false))

    @Test(
        arguments: [
            (Era.legacy, Delivery.Choice.auto, call, asCall),
            (.legacy, .auto, list, .answer(.init(id: [0x32], isToolResult: false))),
            (.legacy, .auto, initialize, .status(id: [0x33])), (.legacy, .auto, notice, .status(id: nil)),
            (.legacy, .auto, unnamed, .status(id: nil)), (.legacy, .auto, other, .status(id: nil)),
            (.modern, .auto, call, .status(id: [0x31])), (.modern, .auto, notice, .status(id: nil)),
            (.legacy, .http, call, .status(id: [0x31])), (.modern, .http, call, .status(id: [0x31])),
            (.legacy, .jsonrpc, call, asError), (.modern, .jsonrpc, call, asError),
            (.legacy, .toolError, call, asCall), (.modern, .toolError, call, asCall),
            (.modern, .toolError, list, .answer(.init(id: [0x32], isToolResult: false))),
            (.legacy, .jsonrpc, initialize, .answer(.init(id: [0x33], isToolResult: false))),
            (.legacy, .jsonrpc, notice, .status(id: nil)),
        ] as [(Era, Delivery.Choice, Message, Delivery)])
    func aRefusalForNow(era: Era, choice: Delivery.Choice, message: Message, expected: Delivery) {
        #expect(Delivery(.forNow, to: Messages([message]), in: era, choice) == expected)
    }

    @Test(
        arguments: [
            (Era.legacy, Delivery.Choice.auto, call, asCall), (.modern, .auto, call, asError),
            (.modern, .auto, initialize, .answer(.init(id: [0x33], isToolResult: false))),
            (.modern, .auto, notice, .status(id: nil)),
            (.legacy, .http, call, .status(id: [0x31])),
        ] as [(Era, Delivery.Choice, Message, Delivery)])
    func aRefusalForGood(era: Era, choice: Delivery.Choice, message: Message, expected: Delivery) {
        #expect(Delivery(.forGood, to: Messages([message]), in: era, choice) == expected)
    }

    @Test func aBatchIsAnsweredByAnArray() {
        let batch = Messages(isBatch: true, [Self.call, Self.notice, Self.initialize, Self.list])
        #expect(
            Delivery(.forNow, to: batch, in: .legacy, .auto)
                == .answers([
                    .init(id: [0x31], isToolResult: true), .init(id: [0x33], isToolResult: false),
                    .init(id: [0x32], isToolResult: false),
                ]))
        #expect(Delivery(.forNow, to: batch, in: .modern, .auto) == .status(id: nil))
        #expect(Delivery(.forNow, to: Messages(isBatch: true, [Self.notice]), in: .legacy, .auto) == .status(id: nil))
        #expect(
            Delivery(.forNow, to: Messages(isBatch: true, [Self.call]), in: .legacy, .auto)
                == .answers([.init(id: [0x31], isToolResult: true)]))
    }

    @Test(arguments: [Delivery.Choice.auto, .http, .jsonrpc, .toolError])
    func whatElseIsRefusedKeepsItsStatus(choice: Delivery.Choice) {
        let answer = Message(kind: .response, id: [0x31])
        #expect(Delivery(.ofOther, to: Messages([answer]), in: .legacy, choice) == .status(id: nil))
        #expect(Delivery(.ofOther, to: Messages([Self.call]), in: .legacy, choice) == .status(id: [0x31]))
        #expect(Delivery(.forNow, to: nil, in: .legacy, choice) == .status(id: nil))
    }

    @Test(arguments: [
        ("2026-07-28", Era.modern), ("2026-12-01", .modern), ("2027-01-01", .modern), ("2026-07-27", .legacy),
        ("2025-11-25", .legacy), ("", .legacy), ("2026-07-28x", .legacy), ("DRAFT-2026", .legacy),
        ("9999/99/99", .legacy),
    ])
    func anEraIsADate(version: String, era: Era) {
        #expect(Era(protocolVersion: version.utf8) == era)
    }
}
