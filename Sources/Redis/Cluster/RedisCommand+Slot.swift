// SPDX-License-Identifier: Apache-2.0

extension RedisCommand {
    /// Whose first argument is no key.
    private static let keyless: Set<String> = [
        "ACL", "AUTH", "BGSAVE", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "DEBUG", "ECHO", "FLUSHALL",
        "FLUSHDB",
        "FUNCTION", "HELLO", "INFO", "KEYS", "LATENCY", "PING", "PSUBSCRIBE", "PUBLISH", "RANDOMKEY", "READONLY",
        "READWRITE", "ROLE", "SCAN", "SCRIPT", "SELECT", "SENTINEL", "SLOWLOG", "SUBSCRIBE", "TIME", "WAIT", "WAITAOF",
    ]

    /// Whose key stands behind another word.
    private static let worded: Set<String> = ["MEMORY", "OBJECT", "XGROUP", "XINFO"]

    /// Whose keys stand behind their number.
    private static let counted: Set<String> = ["EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"]

    /// Where its first key lies; nil where it names none (PING, SCAN, INFO). It is read anew each time.
    package var slot: HashSlot? {
        let span = arguments.span
        guard script == nil else { return Self.slot(behindCountAt: 0, of: span) }
        guard let name = Self.argument(0, of: span), name.count <= 32 else { return nil }
        var text = ""
        for index in name { text.unicodeScalars.append(Unicode.Scalar(span[index])) }
        text = text.uppercased()
        if Self.keyless.contains(text) { return nil }
        if Self.counted.contains(text) { return Self.slot(behindCountAt: 2, of: span) }
        return Self.slot(ofArgument: Self.worded.contains(text) ? 2 : 1, of: span)
    }

    private static func slot(behindCountAt place: Int, of span: borrowing Span<UInt8>) -> HashSlot? {
        guard let count = argument(place, of: span), count.count != 1 || span[count.lowerBound] != UInt8(ascii: "0")
        else { return nil }
        return slot(ofArgument: place + 1, of: span)
    }

    private static func slot(ofArgument place: Int, of span: borrowing Span<UInt8>) -> HashSlot? {
        argument(place, of: span).map { HashSlot(of: span.extracting($0)) }
    }

    /// Where an argument's octets lie. All of them were written by ``append(_:)-(String)`` and its like.
    private static func argument(_ place: Int, of span: borrowing Span<UInt8>) -> Range<Int>? {
        var position = 0
        for index in 0... {
            guard position < span.count else { return nil }
            // Behind the dollar.
            position += 1
            var count = 0
            while span[position] != 0x0D {
                count = count * 10 + Int(span[position] - 0x30)
                position += 1
            }
            let start = position + 2
            if index == place { return start..<start + count }
            position = start + count + 2
        }
        return nil
    }
}
