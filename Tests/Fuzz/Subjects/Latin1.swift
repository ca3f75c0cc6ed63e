// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Octets as Latin-1 text, which is how the table writes them.
func latin1(_ octets: some Sequence<UInt8>) -> String {
    // Taken at once: octet by octet out of a buffer takes a debug build half of the time that a reading has.
    let octets = Array(octets)
    if let text = String(validating: octets, as: Unicode.ASCII.self) { return text }
    var text = String.UnicodeScalarView()
    for octet in octets { text.append(Unicode.Scalar(octet)) }
    return String(text)
}

func latin1(_ text: String) -> [UInt8] {
    text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) }
}

func buffer(_ text: String) -> ByteBuffer {
    ByteBuffer(bytes: latin1(text))
}
