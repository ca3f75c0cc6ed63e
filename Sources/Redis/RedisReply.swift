// SPDX-License-Identifier: Apache-2.0

/// One whole reply of the server, copied out of hiredis' tree: nothing of it points into the reader.
@usableFromInline package enum RedisReply: Sendable, Equatable {
    case null
    case integer(Int64)
    /// A bulk string, any bytes.
    case bytes([UInt8])
    /// A simple string such as `OK`.
    case status(String)
    /// The server's error line, for example `NOSCRIPT No matching script`. Inside an array it is an element.
    case error(String)
    case array([RedisReply])
}

extension RedisReply {
    @inlinable package var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    package var array: [RedisReply]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// A bulk or simple string as UTF-8 text; nil for anything else and for bytes that are no UTF-8.
    package var text: String? {
        switch self {
        case .bytes(let bytes): String(validating: bytes, as: UTF8.self)
        case .status(let text): text
        case .null, .integer, .error, .array: nil
        }
    }

    /// Names and values by turns, as an array has them. The first of a name counts.
    var fields: [String: RedisReply] {
        let elements = array ?? []
        var fields: [String: RedisReply] = [:]
        for index in stride(from: 0, to: elements.count - 1, by: 2) {
            guard let name = elements[index].text, fields[name] == nil else { continue }
            fields[name] = elements[index + 1]
        }
        return fields
    }
}
