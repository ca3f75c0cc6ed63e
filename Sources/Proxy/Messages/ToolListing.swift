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
    case text(ByteBuffer, ToolRules)
    /// Where the list was asked for, nothing passes that may be one and can't be read.
    case events(EventStreamFilter, isAsked: Bool)

    /// Why an answer that may hold a list can't be looked into.
    enum Flaw: Error {
        case encoded, tooLong, unreadable
    }

    /// - Returns: nil for an answer that holds no list.
    init?(_ response: ResponseHead, to message: MessageTraits, _ method: Method, _ tools: ToolRules?) throws(Flaw) {
        guard let tools, 200..<300 ~= response.status else { return nil }
        let isAsked = message.messages?.messages.contains { $0.isMethod("tools/list") } == true
        // A stream that is opened by itself repeats answers (Last-Event-ID), or has all of them (2024-11-05); and SDK 1.x sends
        // an answer to whichever of two streams with the same id was opened last, whatever was asked there.
        guard isAsked || response.isEventStream, response.framing.declaredLength != 0 else { return nil }
        if response.isEventStream {
            self = .events(EventStreamFilter { tools.permits($0) }, isAsked: isAsked)
        } else {
            self = .text(ByteBuffer(), tools)
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
        case .events(var filter, let isAsked):
            let passed = filter.filter(payload)
            guard !isAsked || !filter.hasPassedUnreadable else { throw .unreadable }
            self = .events(filter, isAsked: isAsked)
            return passed
        }
    }

    /// The answer is whole.
    func finish() throws(Flaw) -> ByteBuffer {
        switch self {
        case .text(let text, let tools):
            do throws(ToolList.Unreadable) {
                return try ToolList.readable(text, permits: { tools.permits($0) }) ?? text
            } catch {
                throw .unreadable
            }
        case .events(var filter, let isAsked):
            let rest = filter.finish()
            guard !isAsked || !filter.hasPassedUnreadable else { throw .unreadable }
            return rest
        }
    }
}
