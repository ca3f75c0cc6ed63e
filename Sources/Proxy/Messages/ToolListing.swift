// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import MCP
import NIOCore

/// What of an answer a key with rules about tools gets to see (docs/design.md §5). Which tools it may call is decided when it
/// calls them; this spares it the others.
enum ToolListing {
    /// Of an answer to `tools/list`.
    private static let longestAnswer = 4 << 20

    /// One JSON text, held until it is whole.
    case text(ByteBuffer, ToolAccess)
    case events(EventStreamFilter)

    /// Why an answer that may hold a list can't be looked into.
    enum Flaw: Error {
        case encoded, tooLong
    }

    /// - Returns: nil for an answer that holds no list.
    init?(_ response: ResponseHead, to message: MessageTraits, _ method: Method, _ tools: ToolAccess?) throws(Flaw) {
        guard let tools, 200..<300 ~= response.status else { return nil }
        let isAsked = message.messages?.messages.contains { $0.isMethod("tools/list") } == true
        // A stream that is opened by itself repeats answers (Last-Event-ID), or has all of them (2024-11-05).
        guard isAsked || method == .get, response.framing.declaredLength != 0 else { return nil }
        if response.isEventStream {
            self = .events(EventStreamFilter { tools.permits($0) })
        } else if isAsked {
            self = .text(ByteBuffer(), tools)
        } else {
            return nil
        }
        if let encoding = response.value(of: .contentEncoding),
            !response.section.range(encoding, equalsLowercased: Array("identity".utf8))
        {
            throw .encoded
        }
    }

    /// - Returns: what can go on now.
    mutating func filter(_ payload: ByteBuffer) throws(Flaw) -> ByteBuffer {
        switch self {
        case .text(var text, let tools):
            text.writeImmutableBuffer(payload)
            guard text.readableBytes <= Self.longestAnswer else { throw .tooLong }
            self = .text(text, tools)
            return ByteBuffer()
        case .events(var filter):
            let passed = filter.filter(payload)
            self = .events(filter)
            return passed
        }
    }

    /// The answer is whole.
    func finish() -> ByteBuffer {
        switch self {
        case .text(let text, let tools): return ToolList.filtered(text, permits: { tools.permits($0) }) ?? text
        case .events(var filter): return filter.finish()
        }
    }
}
