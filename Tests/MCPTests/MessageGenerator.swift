// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// Makes texts that look like MCP messages, with everything in them that a hostile client would try.
struct MessageGenerator {
    var random: SplitMix

    init(seed: UInt64) { random = SplitMix(seed: seed) }

    private static let names = [
        "jsonrpc", "id", "method", "params", "result", "error", "name", "uri", "_meta", "arguments", "Method", "ID",
        "re\u{17F}ult", "x", "",
    ]
    private static let methods = [
        "tools/call", "tools/list", "prompts/get", "resources/read", "ping", "notifications/initialized", "initialize",
    ]

    /// A message or a batch, rarely anything else.
    mutating func text() -> [UInt8] {
        switch random.next(below: 10) {
        case 0..<6: Array(message().utf8)
        case 6..<9:
            Array("[\(space())\((0..<random.next(below: 4)).map { _ in message() }.joined(separator: ","))]".utf8)
        default: Array(value(depth: 0).utf8)
        }
    }

    private mutating func message() -> String {
        var members = (0..<random.next(below: 6)).map { _ in member(depth: 1) }
        if random.next(below: 4) > 0 { members.append("\"method\":\(pick(Self.methods.map { string($0) }))") }
        if random.next(below: 3) > 0 { members.append("\"id\":\(scalar())") }
        if random.next(below: 2) > 0 {
            members.append(#""params":{"name":\#(value(depth: 3)),\#(member(depth: 3))}"#)
        }
        members.shuffle(using: &random)
        return "{\(space())\(members.joined(separator: ",\(space())"))\(space())}"
    }

    private mutating func member(depth: Int) -> String {
        let name = pick(Self.names)
        return "\(string(name))\(space()):\(space())\(value(depth: depth))"
    }

    private mutating func value(depth: Int) -> String {
        switch random.next(below: depth > 4 ? 4 : 7) {
        case 0..<4: scalar()
        case 4: "[" + (0..<random.next(below: 3)).map { _ in value(depth: depth + 1) }.joined(separator: ",") + "]"
        default: "{" + (0..<random.next(below: 3)).map { _ in member(depth: depth + 1) }.joined(separator: ",") + "}"
        }
    }

    private mutating func scalar() -> String {
        switch random.next(below: 8) {
        case 0: "null"
        case 1: "true"
        case 2: "\(random.next(below: 1000))"
        case 3: pick(["-0", "0.5", "1e9", "-12.50E-3", "1E+2", "123456789012345678901234567890"])
        case 4: string(pick(Self.methods))
        default: string(pick(["", "a", "search", "Lisbon \u{1F3D6}", "é\u{800}", "\"\\/\n", "\u{7F}"]))
        }
    }

    /// Some characters escaped that needn't be.
    private mutating func string(_ text: String) -> String {
        var quoted = "\""
        for unit in text.unicodeScalars {
            let mustBeEscaped = unit == "\"" || unit == "\\" || unit.value < 0x20
            if mustBeEscaped || random.next(below: 12) == 0 {
                for half in String(unit).utf16 {
                    let digits = String(half, radix: 16, uppercase: random.next(below: 2) == 0)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                quoted.unicodeScalars.append(unit)
            }
        }
        if random.next(below: 40) == 0 { quoted += pick(["\\ud800", "\\udc00", "\\udbff\\ud800", "\\t\\b"]) }
        return quoted + "\""
    }

    private mutating func space() -> String {
        random.next(below: 4) == 0 ? pick([" ", "\n", "\t", "\r", "  "]) : ""
    }

    private mutating func pick(_ choices: [String]) -> String { choices[random.next(below: choices.count)] }

    /// One octet more, less, or another.
    mutating func spoil(_ text: inout [UInt8]) {
        let odd: [UInt8] = [
            0x00, 0x22, 0x2C, 0x5B, 0x5C, 0x5D, 0x7B, 0x7D, 0x80, 0xC2, 0xED, 0xFF, 0x31, 0x2E, 0x65, 0x20,
        ]
        let octet = odd[random.next(below: odd.count)]
        let position = random.next(below: text.count + 1)
        switch random.next(below: 4) {
        case 0: text.insert(octet, at: position)
        case 1 where position < text.count: text.remove(at: position)
        case 2 where position < text.count: text[position] = octet
        default: text.removeLast(min(text.count, random.next(below: 4)))
        }
    }
}
