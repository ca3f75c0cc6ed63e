// SPDX-License-Identifier: Apache-2.0

package import NIOCore

extension ByteBuffer {
    /// Written at a time, so that a long text doesn't reserve six times its length.
    private static var stretch: Int { 4_096 }

    /// Writes octets as a JSON string (RFC 8259 §7), quotes included. Controls, DEL, `"` and `\` are escaped; each octet that
    /// is no UTF-8 becomes `\ufffd`.
    package mutating func writeJSONString(_ octets: Span<UInt8>) {
        guard octets.count > Self.stretch / JSONText.maximumEscape else {
            writeWithOutputRawSpan(minimumWritableBytes: JSONText.maximumSize(of: octets.count)) { output in
                output.appendJSONString(octets)
            }
            return
        }
        writeStaticString("\"")
        var position = 0
        while position < octets.count {
            writeWithOutputRawSpan(minimumWritableBytes: Self.stretch) { output in
                output.appendJSON(octets, &position)
            }
        }
        writeStaticString("\"")
    }

    /// Writes octets as a JSON string, quotes included.
    package mutating func writeJSONString(_ octets: ByteBufferView) {
        writeJSONString(ByteBuffer(octets).readableBytesUInt8Span)
    }

    /// Writes octets as a JSON string, quotes included.
    package mutating func writeJSONString(_ octets: [UInt8]) {
        writeJSONString(octets.span)
    }

    /// Writes text as a JSON string, quotes included.
    package mutating func writeJSONString(_ text: String) {
        text.withOctets { writeJSONString($0) }
    }

    /// Writes octets as a JSON string, quotes included. For what lies in one piece there are cheaper ones above.
    package mutating func writeJSONString(_ octets: some Sequence<UInt8>) {
        writeJSONString(Array(octets).span)
    }
}
