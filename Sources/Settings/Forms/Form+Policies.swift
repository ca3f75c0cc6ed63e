// SPDX-License-Identifier: Apache-2.0

import Admission

/// A limit's text, kept as such until its burst is known.
struct LimitText: Hashable, Sendable {
    let text: String
    var hasBurst: Bool { text.contains(":") }
}

extension Form where Value == LimitText {
    static let limit = Form.text("<count>/[<n>](ms|s|m|h|d)[:<burst>] such as 20/10s or 100/10s:200") {
        text throws(Mismatch) in
        do throws(LimitError) {
            _ = try Limit(parsing: text)
        } catch {
            switch error {
            case .malformed, .malformedAllowance: throw Mismatch(hint: hint(text))
            case .burstDoesNotFit:
                // A burst of its own may make it fit; what remains is reported once both are known.
                break
            case .tooLarge, .impossible, .rateDoesNotFit: throw Mismatch(error)
            }
        }
        return LimitText(text: text)
    }

    /// `20 / 10s`, `20 per minute` and `20/min` are what other programs take.
    private static func hint(_ text: String) -> String? {
        let units = ["sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "hr": "h", "day": "d"]
        let parts = text.lowercased().replacing(" per ", with: "/").filter { $0 != " " }.split(separator: "/")
        guard parts.count == 2, parts[0].utf8.allSatisfy(\.isDigit) else { return nil }
        if CalendarPeriod(rawValue: String(parts[1])) != nil {
            return "quota: \(parts[0])/\(parts[1]) counts by the calendar"
        }
        let number = parts[1].prefix(while: \.isNumber)
        let name = String(parts[1].dropFirst(number.count))
        let unit = units[name] ?? units[String(name.dropLast())] ?? name
        let guess = "\(parts[0])/\(number)\(unit)"
        return (try? Limit(parsing: guess)).map { _ in "did you mean \(guess)?" }
    }
}

extension Mismatch {
    init(_ error: LimitError) {
        switch error {
        case .malformed, .malformedAllowance: self.init()
        case .tooLarge: self.init(expected: "numbers up to \(Limit.largestNumber)")
        case .impossible(let why): self.init(expected: "a possible limit", hint: why)
        case .burstDoesNotFit(let largest):
            self.init(expected: "a burst of at most \(largest) at this rate (more can't be counted exactly)")
        case .rateDoesNotFit:
            self.init(expected: "a shorter period (no bucket at this rate can be counted exactly)")
        }
    }
}

/// What calls cost: the same each, or by the tool that is called.
struct PolicyCost: Sendable, Hashable {
    var fixed = 1
    var byTool: [String: Int] = [:]

    var highest: Int { max(fixed, byTool.values.max() ?? 0) }
}

extension Form where Value == PolicyCost {
    static let cost = Form(expectation: "\(fixed.expectation), or such, and 0, by names of tools") {
        element, path, problems in
        guard case .mapping(let pairs) = element.content else {
            return fixed.read(element, path, &problems).map { PolicyCost(fixed: $0) }
        }
        var cost = PolicyCost()
        var isWrong = pairs.isEmpty
        if pairs.isEmpty { problems.refuse(element, path, expected: "a cost for at least one tool") }
        for pair in pairs {
            guard let tool = pair.key.scalar?.text, ToolAccess.isWellFormed(tool), !Glob.isPattern(tool) else {
                problems.refuse(
                    pair.key, path, expected: "the name of a tool, 1 to 128 characters without spaces",
                    hint: pair.key.scalar.map { Glob.isPattern($0.text) } == true ? "in full, not by a pattern" : nil)
                isWrong = true
                continue
            }
            guard let tokens = byTool.read(pair.value, "\(path).\(tool.shown)", &problems) else {
                isWrong = true
                continue
            }
            cost.byTool[tool] = tokens
        }
        return isWrong ? nil : cost
    }

    private static let fixed = Form<Int>.integer(1...Limit.largestNumber)
    private static let byTool = Form<Int>.integer(0...Limit.largestNumber)
}

extension Form where Value == [Glob] {
    /// - Parameter example: of a pattern.
    static func globs(_ example: String) -> Self {
        list(
            "a list of names or patterns such as \(example)", of: .glob, emptyHint: "leave it out for all",
            identity: \.text)
    }
}

extension Form where Value == Glob {
    static let glob = Form.text("a name or pattern of 1 to 256 octets, without spaces") { text throws(Mismatch) in
        guard 1...256 ~= text.utf8.count, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw Mismatch() }
        return Glob(text)
    }
}

extension Form where Value == Policy.Reject {
    static let reject = Form.choice([
        "auto": Policy.Reject.auto, "http": .http, "jsonrpc": .jsonrpc, "tool_error": .toolError,
    ])
}

extension Duration {
    /// Of one that was read here: whole milliseconds.
    var microseconds: Int { Int(self / .microseconds(1)) }
}

extension Form where Value == Policy.Mode {
    static let mode = Form.scalar("enforce, shadow, or a percentage such as 25% or 0.5%") { scalar throws(Mismatch) in
        guard let mode = Policy.Mode(scalar.text) else { throw Mismatch() }
        return mode
    }
}

extension Form where Value == CalendarQuota {
    static let quota = Form.text("<count>/(hour|day|week|month) such as 5000/month") { text throws(Mismatch) in
        do throws(LimitError) {
            return try CalendarQuota(parsing: text)
        } catch {
            if case .tooLarge = error { throw Mismatch(expected: "numbers up to \(CalendarQuota.largestCount)") }
            let isRate = (try? Limit(parsing: text)) != nil
            throw Mismatch(hint: isRate ? "limit: \(text) is a rate" : nil)
        }
    }
}

extension Form where Value == StatusSet {
    static let statuses = Form(expectation: "a list of statuses such as [2xx, 404]") { element, path, problems in
        guard let texts = Form<[String]>.statusTexts.read(element, path, &problems) else { return nil }
        return StatusSet(texts)
    }
}

extension Form where Value == [String] {
    fileprivate static let statusTexts = list(
        "a list of statuses such as [2xx, 404]", of: .statusText, emptyHint: "leave it out for all")
}

extension Form where Value == String {
    fileprivate static let statusText = Form.scalar("a status from 200 to 599, or a class such as 2xx") {
        scalar throws(Mismatch) in
        guard StatusSet([scalar.text]) != nil else { throw Mismatch() }
        return scalar.text
    }

    /// Fields that mean something else on the way aren't taken off answers.
    static let costField = Form.text("the name of a field such as X-Tollgate-Cost") { text throws(Mismatch) in
        let name = text.lowercased()
        guard name.hasPrefix("x-"), 3...64 ~= name.utf8.count,
            name.utf8.allSatisfy({ 0x61...0x7A ~= $0 || 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-") })
        else { throw Mismatch(hint: "it begins with X-") }
        guard !name.hasPrefix("x-ratelimit-"), name != "x-correlation-id" else {
            throw Mismatch(got: "\(text), which is Tollgate's own")
        }
        return name
    }
}

extension Form where Value == String {
    /// Whether it is listed is known later, when all routes are.
    static let matchedRoute = Form.text("the path of a route such as /mcp") { text throws(Mismatch) in text }
}
