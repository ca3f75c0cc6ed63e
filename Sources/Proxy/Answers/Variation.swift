// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Octets

/// Fields of requests by which answers vary (RFC 9110 §12.5.5).
struct Variation: Sendable {
    private struct Name {
        let written: [UInt8]
        let lowercased: [UInt8]
    }

    private let names: [Name]
    /// With all of them, as most answers have it.
    private let line: [UInt8]

    init(_ names: [String]) {
        self.names = names.map { Name(written: Array($0.utf8), lowercased: Array($0.lowercased().utf8)) }
        line = Array("Vary: \(names.joined(separator: ", "))\r\n".utf8)
    }

    /// Of what is written.
    var mostOctets: Int { line.count }

    /// Names each field.
    func write(to output: inout OutputRawSpan) {
        output.append(line)
    }

    /// Names each field that the handler's answer doesn't name itself.
    func write(besides answer: ResponseHead, to output: inout OutputRawSpan) {
        guard answer.present.contains(.vary) else { return write(to: &output) }
        // It varies by whatever there is.
        if answer.varies(by: Self.everything) { return }
        var isFirst = true
        for name in names where !answer.varies(by: name.lowercased) {
            output.append(isFirst ? "Vary: " : ", ")
            output.append(name.written)
            isFirst = false
        }
        if !isFirst { output.append("\r\n") }
    }

    private static let everything = [UInt8(ascii: "*")]
}

extension ResponseHead {
    fileprivate func varies(by name: [UInt8]) -> Bool {
        fields.contains { $0.id == .vary && section.list($0.valueRange, containsLowercased: name) }
    }
}
