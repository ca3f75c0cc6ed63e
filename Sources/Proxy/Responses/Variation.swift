// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// Fields of requests by which answers vary (RFC 9110 §12.5.5).
struct Variation: Sendable {
    private let names: [String]
    /// Names all of them.
    private let line: [UInt8]

    init(_ names: [String]) {
        self.names = names
        line = Array("Vary: \(names.joined(separator: ", "))\r\n".utf8)
    }

    /// Names each field that the answer doesn't name itself.
    ///
    /// - Parameter answer: of the handler, if it is one.
    func write(besides answer: ResponseHead? = nil, into buffer: inout ByteBuffer) {
        guard let answer, answer.present.contains(.vary) else {
            buffer.writeBytes(line)
            return
        }
        // It varies by whatever there is.
        guard !answer.varies(by: "*") else { return }
        let missing = names.filter { !answer.varies(by: $0) }
        if !missing.isEmpty { buffer.writeBytes(Variation(missing).line) }
    }
}

extension ResponseHead {
    fileprivate func varies(by name: String) -> Bool {
        let element = Array(name.lowercased().utf8)
        return fields.contains { $0.id == .vary && section.list($0.valueRange, containsLowercased: element) }
    }
}
