// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// Fields of requests by which answers vary (RFC 9110 §12.5.5).
struct Variation: Sendable {
    private struct Name {
        let written: [UInt8]
        let lowercased: [UInt8]
    }

    private let names: [Name]

    init(_ names: [String]) {
        self.names = names.map { Name(written: Array($0.utf8), lowercased: Array($0.lowercased().utf8)) }
    }

    /// Names each field that the answer doesn't name itself.
    ///
    /// - Parameter answer: of the handler, if it is one.
    func write(besides answer: ResponseHead? = nil, into buffer: inout ByteBuffer) {
        let own = answer.flatMap { $0.present.contains(.vary) ? $0 : nil }
        // It varies by whatever there is.
        if let own, own.varies(by: Self.everything) { return }
        var isFirst = true
        for name in names where own?.varies(by: name.lowercased) != true {
            buffer.writeStaticString(isFirst ? "Vary: " : ", ")
            buffer.writeBytes(name.written)
            isFirst = false
        }
        if !isFirst { buffer.writeStaticString("\r\n") }
    }

    private static let everything = [UInt8(ascii: "*")]
}

extension ResponseHead {
    fileprivate func varies(by name: [UInt8]) -> Bool {
        fields.contains { $0.id == .vary && section.list($0.valueRange, containsLowercased: name) }
    }
}
