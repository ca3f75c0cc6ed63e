// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The head of one response, as bytes and ranges into them. An upstream connection keeps one and refills it.
package struct ResponseHead: Sendable {
    /// The fields and the bytes of the whole head, status line included.
    package internal(set) var section = FieldSection()
    /// 100–999.
    package internal(set) var status = 0
    /// What stands behind the status, perhaps nothing.
    package internal(set) var reasonRange = 0..<0
    package internal(set) var version: HTTPVersion = .http11
    package internal(set) var framing: BodyFraming = .none
    /// Whether another request may be sent on the connection when this response is over. For 1xx it says nothing yet.
    package internal(set) var keepsAlive = true

    package init() {}

    /// Releases the bytes and forgets everything but the room for fields.
    package mutating func reset() {
        section.reset()
        status = 0
        reasonRange = 0..<0
        version = .http11
        framing = .none
        keepsAlive = true
    }
}

extension ResponseHead {
    /// From the first octet of the status line to the empty line.
    @inlinable package var bytes: ByteBuffer { section.bytes }
    @inlinable package var fields: [Field] { section.fields }
    @inlinable package var present: FieldSet { section.present }
    package var connection: ConnectionOptions { section.connection }

    /// The value of the first field of that name.
    package func value(of id: KnownField) -> Range<Int>? { section.value(of: id) }
    /// How many fields have that name.
    package func count(of id: KnownField) -> Int { section.count(of: id) }
    /// The octets of a range, to be read in place.
    package func view(of range: Range<Int>) -> ByteBufferView { section.view(of: range) }
    /// A copy of the octets of a range.
    package func octets(in range: Range<Int>) -> [UInt8] { section.octets(in: range) }
    /// The range as text, for logs.
    package func string(in range: Range<Int>) -> String { section.string(in: range) }
}
