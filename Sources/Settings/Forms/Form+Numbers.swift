// SPDX-License-Identifier: Apache-2.0

extension Form where Value == Bool {
    static let boolean = Form.scalar("true or false") { scalar throws(Mismatch) in
        guard case .truth(let value) = scalar.kind else {
            let unquoted = Scalar(text: scalar.text)
            if case .truth = unquoted.kind { throw Mismatch(hint: "remove the quotes") }
            throw Mismatch()
        }
        return value
    }
}

extension Form where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> Self {
        scalar("a whole number from \(range.lowerBound) to \(range.upperBound)") { scalar throws(Mismatch) in
            let value = Int(scalar.text)
            guard case .number = scalar.kind else {
                throw Mismatch(hint: value.map(range.contains) == true ? "remove the quotes" : nil)
            }
            guard let value, range.contains(value) else { throw Mismatch() }
            return value
        }
    }

    /// A number of bytes: `32KiB`, `16MiB`, `2GiB`, or plain bytes.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let expectation = "a size such as 32KiB or 16MiB"
        return scalar(expectation) { scalar throws(Mismatch) in
            guard scalar.kind.isNumberOrText, let (number, unit) = scalar.text.splitAfterDigits else {
                throw Mismatch()
            }
            guard let shift = ["": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30][unit] else {
                throw Mismatch(hint: Self.sizeHint(number, unit))
            }
            let (value, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
            guard !overflow, range.contains(value) else {
                throw Mismatch(expected: "a size from \(range.lowerBound) to \(range.upperBound) bytes")
            }
            return value
        }
    }

    /// `64k`, `64KB` and `64 kib` are what other programs take.
    private static func sizeHint(_ number: Int, _ unit: String) -> String? {
        switch unit.lowercased().filter({ $0 != " " }) {
        case "k", "kb", "kib": "did you mean \(number)KiB?"
        case "m", "mb", "mib": "did you mean \(number)MiB?"
        case "g", "gb", "gib": "did you mean \(number)GiB?"
        default: nil
        }
    }
}

extension Form where Value == Double {
    /// Above 0, at most 1.
    static let share = Form.scalar("a number above 0, at most 1") { scalar throws(Mismatch) in
        guard case .number = scalar.kind, let value = Double(scalar.text), value > 0, value <= 1 else {
            throw Mismatch()
        }
        return value
    }
}

extension Form where Value == Duration {
    /// `<n>(ms|s|m|h|d)`. The bounds are whole milliseconds and are written the same way in messages.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        scalar(durationExpectation) { scalar throws(Mismatch) in try read(scalar, range) }
    }

    fileprivate static let durationExpectation = "a duration such as 30s or 500ms"

    fileprivate static func read(_ scalar: Scalar, _ range: ClosedRange<Duration>) throws(Mismatch) -> Duration {
        guard scalar.kind.isNumberOrText, let (number, unit) = scalar.text.splitAfterDigits else {
            throw Mismatch()
        }
        guard let milliseconds = Self.millisecondsByUnit[unit] else {
            throw Mismatch(hint: Self.durationHint(number, unit))
        }
        let (value, overflow) = number.multipliedReportingOverflow(by: milliseconds)
        // Far beyond any range, and far from where a Duration overflows.
        guard !overflow, value < 1 << 53, range.contains(.milliseconds(value)) else {
            throw Mismatch(
                expected: "a duration from \(range.lowerBound.written) to \(range.upperBound.written)")
        }
        return .milliseconds(value)
    }

    private static let millisecondsByUnit = ["ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]

    private static func durationHint(_ number: Int, _ unit: String) -> String? {
        switch unit.lowercased().filter({ $0 != " " }) {
        case "", "s", "sec", "secs", "second", "seconds": "did you mean \(number)s?"
        case "ms", "msec", "millis", "milliseconds": "did you mean \(number)ms?"
        case "m", "min", "mins", "minute", "minutes": "did you mean \(number)m?"
        case "h", "hr", "hour", "hours": "did you mean \(number)h?"
        case "d", "day", "days": "did you mean \(number)d?"
        default: nil
        }
    }
}

extension Form where Value == Settings.Timeout {
    static func timeout(_ range: ClosedRange<Duration>) -> Self {
        scalar("\(Form<Duration>.durationExpectation), or off") { scalar throws(Mismatch) in
            scalar.isOff ? .off : .after(try Form<Duration>.read(scalar, range))
        }
    }
}

extension Scalar {
    /// In JSON it can only be written as a text.
    var isOff: Bool { if case .truth(false) = kind { true } else { text == "off" } }
}

extension Duration {
    /// As a configuration writes it, in the largest unit that keeps it whole; whole milliseconds are assumed.
    var written: String {
        let milliseconds = Int(components.seconds) * 1_000 + Int(components.attoseconds / 1_000_000_000_000_000)
        guard milliseconds > 0 else { return "0s" }
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        let (name, size) = units.first { milliseconds % $0.1 == 0 } ?? ("ms", 1)
        return "\(milliseconds / size)\(name)"
    }
}

extension Scalar.Kind {
    /// What addresses, sizes and durations may look like unquoted.
    var isNumberOrText: Bool {
        switch self {
        case .number, .text: true
        case .nothing, .truth: false
        }
    }
}

extension String {
    /// `30s` as 30 and `s`; nil without digits at the start, or with more than fit.
    fileprivate var splitAfterDigits: (Int, String)? {
        let digits = utf8.prefix(while: \.isDigit)
        guard let number = Int(String(decoding: digits, as: UTF8.self)) else { return nil }
        return (number, String(decoding: utf8.dropFirst(digits.count), as: UTF8.self))
    }
}
