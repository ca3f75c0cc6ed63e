// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The answer to `tools/list` without the tools that a key may not call.
package enum ToolList {
    /// It isn't JSON to us (`NaN`, UTF-16, too deep, a name too long, a list within a list): others may read a list in it.
    package struct Unreadable: Error {}

    /// A byte order mark in UTF-8. Python's readers take one before JSON.
    static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// - Returns: as `readable`; nil for what is unreadable too.
    package static func filtered(_ text: ByteBuffer, permits: ([UInt8]) -> Bool) -> ByteBuffer? {
        do throws(Unreadable) { return try readable(text, permits: permits) } catch { return nil }
    }

    /// - Parameter text: one JSON text, whole, perhaps behind a mark.
    /// - Returns: the text with these tools left out and every other octet as it was; nil where none had to be, and where
    ///   there is no text.
    package static func readable(_ text: ByteBuffer, permits: ([UInt8]) -> Bool) throws(Unreadable) -> ByteBuffer? {
        guard !text.readableBytesView.starts(with: mark) else {
            var (unmarked, marked) = (text, ByteBuffer(bytes: mark))
            unmarked.moveReaderIndex(forwardBy: mark.count)
            guard let filtered = try unmarkedReadable(unmarked, permits: permits) else { return nil }
            marked.writeImmutableBuffer(filtered)
            return marked
        }
        return try unmarkedReadable(text, permits: permits)
    }

    private static func unmarkedReadable(
        _ text: ByteBuffer, permits: ([UInt8]) -> Bool
    ) throws(Unreadable) -> ByteBuffer? {
        var scanner = JSONScanner(ToolListVisitor())
        do throws(JSONScanner<ToolListVisitor>.Failure) {
            try scanner.scan(text)
            try scanner.finish()
        } catch {
            let isBlank = text.readableBytesView.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A || $0 == 0x0D }
            guard isBlank else { throw Unreadable() }
            return nil
        }
        var filtered = ByteBuffer()
        var copied = 0
        for list in scanner.visitor.lists {
            let kept = list.filter { tool in tool.name.map(permits) ?? true }
            guard kept.count < list.count, let first = list.first, let last = list.last else { continue }
            filtered.writeOctets(copied..<first.range.lowerBound, of: text)
            for (position, tool) in kept.enumerated() {
                if position > 0 { filtered.writeInteger(UInt8(ascii: ",")) }
                filtered.writeOctets(tool.range, of: text)
            }
            copied = last.range.upperBound
        }
        guard copied > 0 else { return nil }
        filtered.writeOctets(copied..<text.readableBytes, of: text)
        return filtered
    }
}

extension ByteBuffer {
    fileprivate mutating func writeOctets(_ range: Range<Int>, of text: ByteBuffer) {
        let start = text.readerIndex
        writeBytes(text.readableBytesView[(start + range.lowerBound)..<(start + range.upperBound)])
    }
}

/// Finds `result.tools` of a message, or of each message of a batch.
private struct ToolListVisitor: JSONVisitor {
    struct Tool {
        var range: Range<Int>
        var name: [UInt8]?
    }

    private(set) var lists: [[Tool]] = []

    /// What each open container is for.
    private enum Role {
        case batch, message, result, tools, tool, other
    }

    private var roles: [Role] = []
    private var member: [UInt8]?
    private var tool: Tool?

    mutating func begin(_ container: JSONContainer, at offset: Int) throws(MessageFlaw) {
        if container == .array, roles.last == .batch || roles.last == .tools { throw .nestedBatch }
        let role = role(of: container)
        roles.append(role)
        member = nil
        if role == .tools { lists.append([]) }
        if role == .tool { tool = Tool(range: offset..<offset) }
    }

    private func role(of container: JSONContainer) -> Role {
        switch (roles.last, container) {
        case (nil, .array): .batch
        case (nil, .object), (.batch?, .object): .message
        case (.message?, .object) where member == Array("result".utf8): .result
        case (.result?, .array) where member == Array("tools".utf8): .tools
        case (.tools?, .object): .tool
        default: .other
        }
    }

    mutating func end(_ container: JSONContainer, at end: Int) throws(MessageFlaw) {
        guard roles.popLast() == .tool, var tool else { return }
        tool.range = tool.range.lowerBound..<end
        lists[lists.count - 1].append(tool)
        self.tool = nil
    }

    mutating func captureOfName() -> JSONCapture {
        switch roles.last {
        case .message?, .result?, .tool?: .text
        default: .none
        }
    }

    mutating func name(_ name: [UInt8]?) throws(MessageFlaw) { member = name }

    mutating func captureOfScalar(_ kind: JSONScalar, at offset: Int) -> JSONCapture {
        roles.last == .tool && kind == .string && member == Array("name".utf8) ? .text : .none
    }

    mutating func scalar(_ kind: JSONScalar, _ text: [UInt8]?) throws(MessageFlaw) {
        if let text { tool?.name = text }
        member = nil
    }
}
