// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Foundation

/// Moments as people and programs write them: RFC 3339 in UTC.
enum Timestamp {
    static func text(_ secondsSince1970: Int) -> String {
        Date(timeIntervalSince1970: TimeInterval(secondsSince1970)).formatted(.iso8601)
    }

    /// `90d`, `12h`, `30m`, `45s`, or a moment.
    static func expiry(_ text: String) throws -> KeyOrder.Expiry {
        if let seconds = seconds(text) { return .after(seconds) }
        if let moment = try? Date(text, strategy: .iso8601) { return .at(Int(moment.timeIntervalSince1970)) }
        throw ValidationError(
            "expected a time from now such as 90d, or a moment such as 2027-01-01T00:00:00Z, got '\(text)'")
    }

    private static func seconds(_ text: String) -> Int? {
        let units = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[String($0)] }), text.utf8.count <= 8,
            text.dropLast().utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let count = Int(text.dropLast()), count > 0
        else { return nil }
        return count * unit
    }
}

/// One object on one line, members in the given order.
func printJSON(_ members: [(String, String?)]) {
    let texts = members.map { name, value in "\"\(name)\":" + (value.map(quoted) ?? "null") }
    print("{" + texts.joined(separator: ",") + "}")
}

private func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    // A String always encodes.
    guard let data = try? encoder.encode(text) else { return "\"\"" }
    return String(decoding: data, as: UTF8.self)
}
