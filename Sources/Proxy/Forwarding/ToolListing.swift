// SPDX-License-Identifier: Apache-2.0

import HTTP1
import MCP
import NIOCore
import Octets

/// What of an answer a key with rules about tools gets to see (docs/design.md, "MCP"). Which tools it may call is decided when it
/// calls them; this spares it the others.
enum ToolListing {
    /// Of one that is looked into.
    private static let longestAnswer = 4 << 20

    /// One JSON text, held until it is whole.
    case text(ByteBuffer, ToolRules, isAsked: Bool)
    /// Where the list was asked for, nothing passes that may be one and can't be read.
    case events(EventStreamFilter, isAsked: Bool)
    /// Too long for a list, and none was asked for.
    case passing

    /// Why an answer that may hold a list can't be looked into.
    enum Flaw: Error {
        case encoded, tooLong, unreadable
    }

    /// - Returns: nil for an answer that holds no list.
    init?(_ response: ResponseHead, to message: MessageTraits, _ method: Method, _ tools: ToolRules?) throws(Flaw) {
        guard let tools, 200..<300 ~= response.status, response.framing.declaredLength != 0 else { return nil }
        let isAsked = message.messages?.messages.contains { $0.isMethod("tools/list") } == true
        // A stream that is opened by itself repeats answers (Last-Event-ID), or has all of them (2024-11-05); and SDK 1.x sends
        // an answer to whichever of two requests with the same id came last, whatever was asked there.
        guard isAsked || response.isEventStream || response.mayBeJSON else { return nil }
        if let encoding = response.value(of: .contentEncoding),
            !response.section.range(encoding, equalsLowercased: Array("identity".utf8))
        {
            throw .encoded
        }
        // Clients there are that decode by it.
        if isAsked, let type = response.value(of: .contentType), !Charset.isUTF8(response.view(of: type)) {
            throw .encoded
        }
        if response.isEventStream {
            self = .events(EventStreamFilter { tools.permits($0) }, isAsked: isAsked)
        } else {
            self = .text(ByteBuffer(), tools, isAsked: isAsked)
        }
    }

    /// - Returns: what can go on now.
    mutating func filter(_ payload: ByteBuffer) throws(Flaw) -> ByteBuffer {
        switch self {
        case .text(var text, let tools, let isAsked):
            // Held here alone while it grows, or each part would copy all.
            self = .passing
            text.writeImmutableBuffer(payload)
            guard text.readableBytes > Self.longestAnswer else {
                self = .text(text, tools, isAsked: isAsked)
                return ByteBuffer()
            }
            guard !isAsked else { throw .tooLong }
            return text
        case .events(var filter, let isAsked):
            let passed = filter.filter(payload)
            guard !isAsked || !filter.hasPassedUnreadable else { throw .unreadable }
            self = .events(filter, isAsked: isAsked)
            return passed
        case .passing:
            return payload
        }
    }

    /// The answer is whole.
    func finish() throws(Flaw) -> ByteBuffer {
        switch self {
        case .text(let text, let tools, let isAsked):
            do throws(ToolList.Unreadable) {
                return try ToolList.readable(text, permits: { tools.permits($0) }) ?? text
            } catch {
                guard !isAsked else { throw .unreadable }
                return text
            }
        case .events(var filter, let isAsked):
            let rest = filter.finish()
            guard !isAsked || !filter.hasPassedUnreadable else { throw .unreadable }
            return rest
        case .passing:
            return ByteBuffer()
        }
    }
}

extension ResponseHead {
    private static let json = Array("json".utf8)

    /// Its media type names JSON, or there is none.
    fileprivate var mayBeJSON: Bool {
        guard present.contains(.contentType) else { return true }
        return fields.contains { field in
            guard field.id == .contentType else { return false }
            let value = view(of: field.valueRange).map(\.lowercased)
            return value.firstRange(of: Self.json) != nil
        }
    }
}
