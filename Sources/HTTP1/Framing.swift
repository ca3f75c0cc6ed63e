// SPDX-License-Identifier: Apache-2.0

/// The versions spoken on a connection; any other is refused.
package enum HTTPVersion: Sendable {
    case http10
    case http11
}

/// How the end of a body is told (RFC 9112 §6.3).
package enum BodyFraming: Sendable, Equatable {
    /// No body, and no field that announces one.
    case none
    /// So many bytes, perhaps zero, as Content-Length says.
    case length(UInt64)
    case chunked
    /// Up to the end of the connection; responses only.
    case untilClose
}

/// How much a peer may send before it is refused, per head.
package struct HeadLimits: Sendable {
    /// Start line, fields and the empty line, in bytes. At most 65 535, since ranges are kept in 16 bits.
    package let bytes: Int
    /// Field lines.
    package let fields: Int

    /// Values are brought into 1…65 535 (bytes) and 1…4 096 (fields).
    package init(bytes: Int = 32 * 1024, fields: Int = 256) {
        self.bytes = min(max(bytes, 1), Int(UInt16.max))
        self.fields = min(max(fields, 1), 4096)
    }
}
