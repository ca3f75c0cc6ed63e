// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// Standard output, told apart from a place where nothing arrives: a key is shown once, and a full disk would be its end.
enum Output {
    struct Lost: Error, CustomStringConvertible {
        let description: String
    }

    static func line(_ text: String) throws(Lost) {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data("\(text)\n".utf8))
        } catch {
            let cause = (error as? CocoaError)?.underlying.map { ($0 as NSError).code }
            throw Lost(description: cause.map { String(cString: strerror(CInt($0))) } ?? "\(error)")
        }
    }

    /// One object on one line, members in the given order.
    static func json(_ members: [(String, String?)]) throws(Lost) {
        let texts = members.map { name, value in "\"\(name)\":" + (value.map(quoted) ?? "null") }
        try line("{" + texts.joined(separator: ",") + "}")
    }

    private static func quoted(_ text: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        // A String always encodes.
        guard let data = try? encoder.encode(text) else { return "\"\"" }
        return String(decoding: data, as: UTF8.self)
    }
}
