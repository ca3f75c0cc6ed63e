// SPDX-License-Identifier: Apache-2.0

import MCP
import NIOCore

/// What the scanner makes of a text, cut at some places.
func scan(_ octets: [UInt8], cutAt cuts: [Int] = []) -> MessageScanner.Outcome {
    var scanner = MessageScanner()
    var start = 0
    for cut in cuts + [octets.count] {
        scanner.scan(ByteBuffer(bytes: octets[start..<cut]))
        start = cut
    }
    return scanner.finish()
}

func scan(_ text: String) -> MessageScanner.Outcome { scan(Array(text.utf8)) }

func messages(_ text: String) -> [Message]? {
    guard case .messages(let found) = scan(text) else { return nil }
    return found.messages
}

/// One line about an outcome, which `read_messages.py` works out again by itself.
func summary(_ outcome: MessageScanner.Outcome) -> String {
    switch outcome {
    case .unreadable: "unreadable"
    case .refused: "refused"
    case .messages(let found):
        (found.isBatch ? "batch" : "single")
            + found.messages.map { message in
                " \(message.kind)" + (message.hasID ? "+id" : "") + " \(hexadecimal(message.method))"
                    + " \(hexadecimal(message.id)) " + target(message.target)
            }.joined()
    }
}

private func target(_ target: Message.Target?) -> String {
    switch target {
    case nil: "-"
    case .tool(let name)?: "tool:" + hexadecimal(name)
    case .prompt(let name)?: "prompt:" + hexadecimal(name)
    case .resource(let uri)?: "resource:" + hexadecimal(uri)
    }
}

private let digits = Array("0123456789abcdef".utf8)

func hexadecimal(_ octets: [UInt8]?) -> String {
    guard let octets else { return "-" }
    var text = [UInt8(ascii: "x")]
    for octet in octets { text += [digits[Int(octet >> 4)], digits[Int(octet & 15)]] }
    return String(decoding: text, as: UTF8.self)
}
