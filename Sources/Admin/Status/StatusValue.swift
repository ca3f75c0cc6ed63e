// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets

/// A value of the documents that `/status` and the page's events are: JSON, its members in the order in which they are given.
enum StatusValue: Equatable {
    case null
    case truth(Bool)
    case number(Int)
    /// `1.5`, of 1 500.
    case thousandths(Int)
    case text(String)
    case list([StatusValue])
    case members([Member])

    struct Member: Equatable {
        var name: String
        var value: StatusValue
    }

    /// Absent ones are `null`, so that every member is there every time.
    init(_ text: String?) {
        self = text.map(StatusValue.text) ?? .null
    }

    init(_ members: KeyValuePairs<String, StatusValue>) {
        self = .members(members.map { Member(name: $0, value: $1) })
    }

    init(_ number: Int?) {
        self = number.map(StatusValue.number) ?? .null
    }

    var json: String {
        var buffer = ByteBuffer()
        write(into: &buffer)
        return String(buffer: buffer)
    }

    /// - Parameter value: not below zero.
    private static func write(thousandths value: Int, into buffer: inout ByteBuffer) {
        let (whole, rest) = value.quotientAndRemainder(dividingBy: 1_000)
        buffer.writeString("\(whole)")
        guard rest > 0 else { return }
        var digits = String(1_000 + rest).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        buffer.writeString(".\(digits)")
    }

    func write(into buffer: inout ByteBuffer) {
        switch self {
        case .null: buffer.writeStaticString("null")
        case .truth(let value): buffer.writeString(value ? "true" : "false")
        case .number(let value): buffer.writeString("\(value)")
        case .thousandths(let value): Self.write(thousandths: value, into: &buffer)
        case .text(let text): buffer.writeJSONString(text)
        case .list(let values):
            buffer.writeStaticString("[")
            for (index, value) in values.enumerated() {
                if index > 0 { buffer.writeStaticString(",") }
                value.write(into: &buffer)
            }
            buffer.writeStaticString("]")
        case .members(let members):
            buffer.writeStaticString("{")
            for (index, member) in members.enumerated() {
                if index > 0 { buffer.writeStaticString(",") }
                buffer.writeJSONString(member.name)
                buffer.writeStaticString(":")
                member.value.write(into: &buffer)
            }
            buffer.writeStaticString("}")
        }
    }
}
