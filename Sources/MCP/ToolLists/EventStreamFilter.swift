// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Leaves tools out of the lists that a stream of events carries (WHATWG HTML §9.2, "Server-sent events"): each event goes on
/// as soon as it is whole, and octet for octet unless a list in it loses a tool.
package struct EventStreamFilter {
    /// Octets of one event that is looked into. No list is that long; a longer event passes as it comes.
    private static let longestEvent = 4 << 20

    private let permits: ([UInt8]) -> Bool
    /// The event so far.
    private var event = ByteBuffer()
    private var lineIsEmpty = true
    private var followsCarriageReturn = false
    private var isTooLong = false
    /// A mark at the beginning of the stream is no part of its first line.
    private var isFirst = true
    /// A line feed at the beginning is the rest of the line that ended the event before.
    private var isRestKept = true
    /// An event has passed that may hold a list nobody could look into.
    package private(set) var hasPassedUnreadable = false

    package init(permits: @escaping ([UInt8]) -> Bool) {
        self.permits = permits
    }

    /// - Returns: what can go on now.
    package mutating func filter(_ slice: ByteBuffer) -> ByteBuffer {
        var passed = ByteBuffer()
        var rest = slice
        while let length = lengthOfEvent(in: rest.readableBytesUInt8Span), let part = rest.readSlice(length: length) {
            append(part, &passed)
            passed.writeImmutableBuffer(isTooLong ? event : filteredEvent())
            event.clear()
            (isTooLong, isFirst) = (false, false)
        }
        append(rest, &passed)
        return passed
    }

    /// The stream has ended, or was cut: what came of the last event. No client takes an event without its end, so one with
    /// a list that loses a tool is left out whole.
    package mutating func finish() -> ByteBuffer {
        defer { event.clear() }
        return changedData() == nil ? event : ByteBuffer()
    }

    private mutating func append(_ part: ByteBuffer, _ passed: inout ByteBuffer) {
        event.writeImmutableBuffer(part)
        guard isTooLong || event.readableBytes > Self.longestEvent else { return }
        (isTooLong, hasPassedUnreadable) = (true, true)
        passed.writeImmutableBuffer(event)
        event.clear()
    }

    /// Up to and with the empty line that ends an event; nil where it isn't here yet.
    private mutating func lengthOfEvent(in octets: Span<UInt8>) -> Int? {
        for index in octets.indices {
            let octet = octets[index]
            let isSecondHalf = octet == 0x0A && followsCarriageReturn
            followsCarriageReturn = octet == 0x0D
            if isSecondHalf { continue }
            guard octet == 0x0A || octet == 0x0D else {
                lineIsEmpty = false
                continue
            }
            if lineIsEmpty { return index + 1 }
            lineIsEmpty = true
        }
        return nil
    }

    /// The lines of `data` are one text; where it changes they become one line, in the place of the first.
    private mutating func filteredEvent() -> ByteBuffer {
        let rest = event.readableBytesView.first == 0x0A ? 1 : 0
        let keepsRest = isRestKept
        isRestKept = true
        guard let changed = changedData() else {
            if !keepsRest { event.moveReaderIndex(forwardBy: rest) }
            return event
        }
        var filtered = ByteBuffer()
        if keepsRest, rest == 1 { filtered.writeStaticString("\n") }
        isRestKept = event.readableBytesView.last != 0x0D
        var isWritten = false
        for line in lines() where !line.isEmpty {
            if !Self.isData(line) {
                filtered.writeBytes(line)
            } else if isWritten {
                continue
            } else {
                filtered.writeStaticString("data: ")
                // A list may be written over several lines, which `data` has one prefix each for.
                for octet in changed.readableBytesView where octet != 0x0A && octet != 0x0D {
                    filtered.writeInteger(octet)
                }
                isWritten = true
            }
            filtered.writeStaticString("\n")
        }
        filtered.writeStaticString("\n")
        return filtered
    }

    private func lines() -> [ByteBufferView] {
        var text = event.readableBytesView
        if isFirst, text.starts(with: ToolList.mark) { text = text.dropFirst(ToolList.mark.count) }
        return text.split(omittingEmptySubsequences: false) { $0 == 0x0A || $0 == 0x0D }
    }

    /// The event's data without the tools that are barred; nil where none had to be left out.
    private mutating func changedData() -> ByteBuffer? {
        var data = ByteBuffer()
        for (position, line) in lines().filter(Self.isData).enumerated() {
            if position > 0 { data.writeInteger(0x0A as UInt8) }
            data.writeBytes(Self.value(of: line))
        }
        guard data.readableBytes > 0 else { return nil }
        do throws(ToolList.Unreadable) {
            return try ToolList.readable(data, permits: permits)
        } catch {
            // Other words than JSON are common here, and hold no list in any encoding.
            if data.readableBytesView.contains(where: Self.isBracket) { hasPassedUnreadable = true }
            return nil
        }
    }

    private static func isBracket(_ octet: UInt8) -> Bool { octet == UInt8(ascii: "{") || octet == UInt8(ascii: "[") }

    private static let field = Array("data".utf8)

    private static func isData(_ line: ByteBufferView) -> Bool {
        line.starts(with: field)
            && (line.count == field.count || line.dropFirst(field.count).first == UInt8(ascii: ":"))
    }

    private static func value(of line: ByteBufferView) -> ByteBufferView {
        let value = line.dropFirst(field.count + 1)
        return value.first == 0x20 ? value.dropFirst() : value
    }
}
