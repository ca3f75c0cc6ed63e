// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The head of one request, as bytes and ranges into them. A connection keeps one and refills it.
///
/// What a parser filled in has been checked: exactly one plausible `Host` (none is allowed in 1.0), unambiguous framing, a
/// target of visible ASCII whose authority, if it has one, is that of `Host`.
package struct RequestHead: Sendable {
    /// The fields and the bytes of the whole head, request line included.
    package internal(set) var section = FieldSection()
    package internal(set) var method: Method = .get
    package internal(set) var methodRange = 0..<0
    /// The target as it was sent, whatever its form.
    package internal(set) var targetRange = 0..<0
    package internal(set) var targetForm: TargetForm = .origin
    /// Path and query of the target. Empty, or beginning with `?`, if an absolute form has no path: `/` is meant then, and
    /// written by `appendRequestLine`. Empty for CONNECT.
    package internal(set) var pathRange = 0..<0
    /// The host that is asked. `a:` is `a` (RFC 3986 §6.2.3), and not every reader knows.
    package internal(set) var host: Range<Int>?
    package internal(set) var version: HTTPVersion = .http11
    package internal(set) var framing: BodyFraming = .none
    /// Whether the client is willing to send another request on the connection.
    package internal(set) var keepsAlive = true
    /// `Expect: 100-continue` with a body to come, on HTTP/1.1. Any other expectation is a field like others.
    package internal(set) var expectsContinue = false

    package init() {}

    /// Releases the bytes and forgets everything but the room for fields.
    package mutating func reset() {
        section.reset()
        method = .get
        methodRange = 0..<0
        targetRange = 0..<0
        targetForm = .origin
        pathRange = 0..<0
        host = nil
        version = .http11
        framing = .none
        keepsAlive = true
        expectsContinue = false
    }

    /// Copies the bytes, so that a head that is kept for long keeps nothing else of what was read with it.
    package mutating func detach() { section.detach() }
}

extension RequestHead {
    /// From the first octet of the request line to the empty line.
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
    /// The range as text, for logs and problem bodies.
    package func string(in range: Range<Int>) -> String { section.string(in: range) }
}
