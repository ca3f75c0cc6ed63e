// SPDX-License-Identifier: Apache-2.0

import Octets

// Numbers, sizes and durations as other programs take them, to say how they are written here.

/// `5 seconds`, `1.5s`, `1h30m`, `500 ms`, `5S`, or a number without a unit.
struct DurationText {
    static let units = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
    private static let names = [
        "ms": "ms", "msec": "ms", "msecs": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms",
        "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "m": "m", "min": "m", "mins": "m",
        "minute": "m", "minutes": "m", "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "d": "d", "day": "d",
        "days": "d", "w": "w", "week": "w", "weeks": "w",
    ]

    private static let week = 7 * 86_400_000

    private let parts: [(number: Double, unit: String?)]

    init?(_ text: String) {
        let part = /(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)\s*/
        let written = text.trimmingWhiteSpace.lowercased()
        guard written.wholeMatch(of: /(?:\d{1,15}(?:\.\d{1,9})?\s*[a-z]*\s*)+/) != nil else { return nil }
        var parts: [(number: Double, unit: String?)] = []
        for match in written.matches(of: part) {
            guard let number = Double(match.1), match.2.isEmpty || Self.names[String(match.2)] != nil else {
                return nil
            }
            parts.append((number, Self.names[String(match.2)]))
        }
        guard parts.count == 1 || parts.allSatisfy({ $0.unit != nil }) else { return nil }
        self.parts = parts
    }

    /// Nil without a unit, or where it is no whole number of them.
    var milliseconds: Int? {
        var sum = 0.0
        for (number, unit) in parts {
            guard let unit else { return nil }
            sum += number * Double(Self.units[unit] ?? Self.week)
        }
        return sum.rounded() == sum && sum < Double(1 << 53) ? Int(sum) : nil
    }

    /// What it may mean, as it is written here: the first group any of which a key takes, and of it all that it takes. Without
    /// a unit most programs mean seconds, but a number of three digits may well be one of milliseconds.
    var alternatives: [[(text: String, milliseconds: Int)]] {
        if let milliseconds { return [[(written ?? Duration.milliseconds(milliseconds).written, milliseconds)]] }
        guard parts.count == 1, parts[0].unit == nil else { return [] }
        let number = parts[0].number
        guard number.rounded() == number else { return DurationText("\(number)s")?.alternatives ?? [] }
        return ((number < 100 ? [["s"], ["ms"]] : [["ms", "s"]]) + [["d"], ["h"], ["m"]]).map { group in
            group.compactMap { unit in
                let (milliseconds, isTooMany) = Int(number).multipliedReportingOverflow(by: Self.units[unit] ?? 0)
                return isTooMany ? nil : ("\(Int(number))\(unit)", milliseconds)
            }
        }
    }

    /// With its own number and unit, where there are such ones.
    private var written: String? {
        guard parts.count == 1, let unit = parts[0].unit, Self.units[unit] != nil else { return nil }
        let number = parts[0].number
        return number.rounded() == number ? "\(Int(number))\(unit)" : nil
    }
}

/// `64k`, `64KB`, `64 kib` and `1.5 MB`, by 1024.
struct SizeText {
    private static let shifts = ["b": 0, "k": 10, "m": 20, "g": 30]
    private static let units = ["B", "KiB", "MiB", "GiB"]

    /// In the largest unit that keeps it whole.
    let written: String

    init?(_ text: String) {
        let form =
            /(\d{1,15}(?:\.\d{1,9})?)\s*(b|k|m|g)(?:b|ib|ytes?|ilobytes?|egabytes?|igabytes?|ibibytes?|ebibytes?)?/
        guard let match = text.trimmingWhiteSpace.lowercased().wholeMatch(of: form), let number = Double(match.1),
            let shift = Self.shifts[String(match.2)]
        else { return nil }
        if number.rounded() == number {
            written = "\(Int(number))\(Self.units[shift / 10])"
            return
        }
        let bytes = number * Double(1 << shift)
        guard bytes.rounded() == bytes, bytes > 0, bytes < Double(1 << 53) else { return nil }
        let power = (0..<Self.units.count).last { Int(bytes) % (1 << (10 * $0)) == 0 } ?? 0
        written = "\(Int(bytes) >> (10 * power))\(Self.units[power])"
    }
}

extension String {
    /// `10_000`, `10,000`, `10k`, `5.0`, `1e4`, `/24`; nil for what is no number.
    var wholeNumber: Int? {
        let digits = trimmingWhiteSpace.filter { !"_,' ".contains($0) }
        let text = digits.hasPrefix("/") ? String(digits.dropFirst()) : digits
        let factors: [Character: Double] = ["k": 1_000, "K": 1_000, "M": 1_000_000]
        let factor = text.last.flatMap { factors[$0] }
        guard let number = Double(factor == nil ? text : String(text.dropLast())) else { return nil }
        let value = number * (factor ?? 1)
        return value.rounded() == value && abs(value) < Double(1 << 53) ? Int(value) : nil
    }

    /// `25%` and `25 %` as 25, and so `25`; `0.25` as 25, since a part of one is meant.
    var percentage: Double? {
        let text = trimmingWhiteSpace
        let isMarked = text.hasSuffix("%")
        guard let number = Double((isMarked ? String(text.dropLast()) : text).trimmingWhiteSpace), number >= 0 else {
            return nil
        }
        return !isMarked && number < 1 ? number * 100 : number
    }
}
