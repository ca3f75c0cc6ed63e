// SPDX-License-Identifier: Apache-2.0

import Octets

extension Form where Value == Bool {
    static let boolean = Form.scalar(
        "true or false",
        schema: .anyOf(["type": "boolean"], .pattern("on|On|ON|off|Off|OFF|yes|Yes|YES|no|No|NO")),
        guesses: { Spelling.guesses($0, among: ["true", "false"], truths) }
    ) { scalar throws(Mismatch) in
        guard case .truth(let value) = scalar.kind else {
            let unquoted = Scalar(text: scalar.text)
            if case .truth = unquoted.kind { throw Mismatch(hint: "remove the quotes") }
            throw Mismatch()
        }
        return value
    }

    private static let truths = [
        "1": "true", "y": "true", "t": "true", "enable": "true", "enabled": "true", "always": "true", "0": "false",
        "n": "false", "f": "false", "disable": "false", "disabled": "false", "never": "false", "none": "false",
    ]
}

extension Form where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> Self {
        integer(range, guesses: { $0.wholeNumber.map { ["\($0)"] } ?? [] })
    }

    /// `<n>%` with at most two decimals, in hundredths of a per cent. None at all is what another key says.
    static let sample = Form.scalar(
        "a percentage from 0.01% to 100%",
        schema: .pattern(
            #"(?!0(?:\.0{1,2})?%)(?:0|[1-9]\d?)(?:\.\d{1,2})?%|100(?:\.0{1,2})?%"#),
        guesses: { text in text.percentage.map { ["\($0)%".replacing(".0%", with: "%")] } ?? [] }
    ) { scalar throws(Mismatch) in
        guard scalar.kind.isNumberOrText, scalar.text.last == "%" else { throw Mismatch() }
        let parts = scalar.text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
        let decimals = parts.count == 2 ? parts[1] : "0"
        guard 1...2 ~= parts.count, 1...3 ~= parts[0].utf8.count, 1...2 ~= decimals.utf8.count,
            parts[0] == "0" || parts[0].first != "0",
            parts[0].utf8.allSatisfy(\.isDigit), decimals.utf8.allSatisfy(\.isDigit),
            let whole = Int(parts[0]), let fraction = Int(decimals)
        else { throw Mismatch() }
        let share = whole * 100 + (decimals.utf8.count == 1 ? fraction * 10 : fraction)
        guard share > 0 else { throw Mismatch(hint: "log.access: off writes none") }
        guard share <= 10_000 else { throw Mismatch() }
        return share
    }

    /// Seconds, without a unit: what is written as a duration elsewhere.
    static func seconds(_ range: ClosedRange<Int>) -> Self {
        integer(
            range,
            guesses: { text in
                let duration = DurationText(text)?.milliseconds.map { "\($0 / 1_000)" }
                return [text.wholeNumber.map { "\($0)" }, duration].compactMap(\.self)
            })
    }

    private static func integer(
        _ range: ClosedRange<Int>, guesses: @escaping @Sendable (String) -> [String]
    ) -> Self {
        scalar(
            "a whole number from \(range.lowerBound) to \(range.upperBound)", schema: .integer(range), guesses: guesses
        ) {
            scalar throws(Mismatch) in
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
        scalar(
            "a size such as 32KiB or 16MiB", schema: .anyOf(.integer(range), .pattern(#"\d+(?:B|KiB|MiB|GiB)?"#)),
            guesses: { SizeText($0).map { [$0.written] } ?? [] }
        ) {
            scalar throws(Mismatch) in
            guard scalar.kind.isNumberOrText, let (number, unit) = scalar.text.splitAfterDigits,
                let shift = ["": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30][unit]
            else { throw Mismatch() }
            let (value, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
            guard !overflow, range.contains(value) else {
                throw Mismatch(expected: "a size from \(range.lowerBound) to \(range.upperBound) bytes")
            }
            return value
        }
    }
}

extension Int {
    /// Of bytes, as a configuration writes it, in the largest unit that keeps it whole.
    var writtenAsSize: String {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)]
        guard self > 0, let (name, shift) = units.first(where: { self % (1 << $0.1) == 0 }) else { return "\(self)B" }
        return "\(self >> shift)\(name)"
    }
}

extension Form where Value == Double {
    /// Above 0, at most 1.
    static let share = Form.scalar(
        "a number above 0, at most 1", schema: ["type": "number", "exclusiveMinimum": 0, "maximum": 1],
        guesses: { text in
            // A bare one of a digit may mean as many sidecars.
            text.percentage.flatMap { $0 >= 10 || text.hasSuffix("%") ? ["\($0 / 100)"] : nil } ?? []
        }
    ) { scalar throws(Mismatch) in
        guard case .number = scalar.kind, let value = Double(scalar.text), value > 0, value <= 1 else {
            throw Mismatch()
        }
        return value
    }
}

extension Form where Value == Duration {
    /// `<n>(ms|s|m|h|d)`. The bounds are whole milliseconds and are written the same way in messages.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        scalar(durationExpectation, schema: durationSchema) { scalar throws(Mismatch) in try read(scalar, range) }
    }

    fileprivate static let durationExpectation = "a duration such as 30s or 500ms"
    fileprivate static let durationSchema = JSONValue.pattern(#"\d{1,19}(?:ms|s|m|h|d)"#)

    fileprivate static func read(_ scalar: Scalar, _ range: ClosedRange<Duration>) throws(Mismatch) -> Duration {
        guard scalar.kind.isNumberOrText else { throw Mismatch() }
        guard let (number, unit) = scalar.text.splitAfterDigits, let size = DurationText.units[unit] else {
            throw mismatch(scalar.text, range)
        }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: size)
        guard !overflow, range.contains(milliseconds: milliseconds) else { throw outside(range) }
        return .milliseconds(milliseconds)
    }

    private static func outside(_ range: ClosedRange<Duration>) -> Mismatch {
        Mismatch(expected: "a duration from \(range.lowerBound.written) to \(range.upperBound.written)")
    }

    /// What other programs take: offered if the key does too.
    private static func mismatch(_ text: String, _ range: ClosedRange<Duration>) -> Mismatch {
        guard let meant = DurationText(text) else { return Mismatch() }
        let fitting = meant.alternatives.lazy
            .map { $0.filter { range.contains(milliseconds: $0.milliseconds) }.map(\.text) }
            .first { !$0.isEmpty }
        return fitting.map { Mismatch(hint: "did you mean \($0.alternatives)?") } ?? outside(range)
    }
}

extension Duration {
    static let longestTimeout = Duration.seconds(86_400)
    static let longestRetention = Duration.seconds(3_650 * 86_400)
}

extension ClosedRange<Duration> {
    static let timeouts = Duration.milliseconds(1)...Duration.longestTimeout

    fileprivate func contains(milliseconds: Int) -> Bool {
        // Far beyond any range, and far from where a Duration overflows.
        milliseconds < 1 << 53 && contains(.milliseconds(milliseconds))
    }
}

extension Form where Value == Settings.Timeout {
    static func timeout(_ range: ClosedRange<Duration>) -> Self {
        scalar(
            "\(Form<Duration>.durationExpectation), or off", schema: .anyOf(.off, Form<Duration>.durationSchema),
            guesses: { Spelling.guesses($0, among: ["off"], words) }
        ) { scalar throws(Mismatch) in
            scalar.isOff ? .off : .after(try Form<Duration>.read(scalar, range))
        }
    }

    /// 0 is no time-out to many programs.
    private static var words: [String: String] {
        [
            "0": "off", "none": "off", "never": "off", "null": "off", "": "off", "~": "off", "unlimited": "off",
            "infinite": "off", "disable": "off", "disabled": "off",
        ]
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
