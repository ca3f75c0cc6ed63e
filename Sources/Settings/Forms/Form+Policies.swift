// SPDX-License-Identifier: Apache-2.0

import Limits
import Octets

/// A limit's text, kept as such until its burst is known.
struct LimitText: Hashable, Sendable {
    let text: String
    var hasBurst: Bool { text.contains(":") }
}

extension Form where Value == LimitText {
    static let limit = Form.text(
        "<count>/[<n>](ms|s|m|h|d)[:<burst>] such as 20/10s or 100/10s:200",
        schema: .pattern(#"(?:0|[1-9]\d{0,15})/(?:[1-9]\d{0,15})?(?:ms|s|m|h|d)(?::[1-9]\d{0,15})?"#)
    ) {
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

    /// What it is as a rate, and by the calendar where it could be meant so.
    private static func hint(_ text: String) -> String? {
        guard let loose = LooseRate(text) else { return nil }
        let rate = loose.limit.map { "did you mean \($0)?" }
        let quota = loose.quota.map { "quota: \($0) counts by the calendar" }
        let hints = [rate, quota].compactMap(\.self)
        return hints.isEmpty ? nil : hints.joined(separator: " ")
    }
}

/// `20 / 10s`, `20 per minute`, `20/min` and `10r/s`, which are what other programs take.
private struct LooseRate {
    private static let units = [
        "sec": "s", "second": "s", "min": "m", "minute": "m", "hour": "h", "hr": "h", "day": "d", "": "s",
    ]

    /// As it is written here; nil where there is no such rate.
    let limit: String?
    let quota: String?

    init?(_ text: String) {
        let form = /(\d+)\s*(?:r|req|reqs|requests?|calls?)?\s*(?:\/|per)\s*(\d*)\s*([a-z]*)/
        guard let match = text.trimmingWhiteSpace.lowercased().wholeMatch(of: form),
            !(match.2.isEmpty && match.3.isEmpty)
        else { return nil }
        let name = String(match.3)
        let singular = name.count > 2 && name.hasSuffix("s") ? String(name.dropLast()) : name
        let unit = Self.units[name] ?? Self.units[singular] ?? name
        let rate = "\(match.1)/\(match.2.isEmpty ? "1" : match.2)\(unit)"
        limit = (try? Limit(parsing: rate)).map { _ in rate }
        quota = match.2.isEmpty && CalendarPeriod(rawValue: singular) != nil ? "\(match.1)/\(singular)" : nil
    }

    /// Where a quota is expected.
    static func hint(forQuota text: String) -> String? {
        guard let loose = LooseRate(text) else { return nil }
        if let quota = loose.quota { return "did you mean \(quota)?" }
        return loose.limit.map { "limit: \($0) is a rate" }
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
    static let cost = Form(
        expectation: "\(fixed.expectation), or such, and 0, by names of tools",
        schema: .anyOf(fixed.schema, .named("(?!.*[*?])\(Pattern.tool)", byTool.schema))
    ) {
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
    static let glob = Form.text(
        "a name or pattern of 1 to 256 octets, without spaces", schema: .pattern(#"[^\u0000-\u0020\u007f]{1,256}"#)
    ) { text throws(Mismatch) in
        guard 1...256 ~= text.utf8.count, text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw Mismatch() }
        return Glob(text)
    }
}

extension Form where Value == Policy.Reject {
    static let reject = Form.choice(
        ["auto": Policy.Reject.auto, "http": .http, "jsonrpc": .jsonrpc, "tool_error": .toolError],
        hints: [
            "status": "http", "https": "http", "rpc": "jsonrpc", "json_rpc": "jsonrpc", "error": "jsonrpc",
            "is_error": "tool_error", "iserror": "tool_error", "tool": "tool_error", "automatic": "auto",
            "default": "auto",
        ])
}

extension Duration {
    /// Of one that was read here: whole milliseconds.
    var microseconds: Int { Int(self / .microseconds(1)) }
}

extension Form where Value == Policy.Mode {
    static let mode = Form.scalar(
        "enforce, shadow, or a percentage such as 25% or 0.5%",
        schema: .anyOf(
            ["enum": ["enforce", "shadow"]], .pattern(#"(?:0|[1-9]\d?)(?:\.\d{1,2})?%|100(?:\.0{1,2})?%"#)),
        guesses: { text in
            text.percentage.map { ["\($0)%".replacing(".0%", with: "%")] }
                ?? Spelling.guesses(text, among: ["enforce", "shadow"], modes)
        }
    ) { scalar throws(Mismatch) in
        guard let mode = Policy.Mode(scalar.text) else { throw Mismatch() }
        return mode
    }

    /// Not "off": the policy, or the dry run?
    private static let modes = [
        "true": "enforce", "on": "enforce", "yes": "enforce", "enabled": "enforce", "active": "enforce",
        "block": "enforce", "deny": "enforce", "live": "enforce", "dry_run": "shadow", "dryrun": "shadow",
        "log": "shadow", "log_only": "shadow", "monitor": "shadow", "audit": "shadow", "observe": "shadow",
        "report": "shadow", "test": "shadow",
    ]
}

extension Form where Value == CalendarQuota {
    static let quota = Form.text(
        "<count>/(hour|day|week|month) such as 5000/month",
        schema: .pattern(#"(?:0|[1-9]\d{0,15})/(?:hour|day|week|month)"#)
    ) { text throws(Mismatch) in
        do throws(LimitError) {
            return try CalendarQuota(parsing: text)
        } catch {
            if case .tooLarge = error { throw Mismatch(expected: "numbers up to \(CalendarQuota.largestCount)") }
            let isRate = (try? Limit(parsing: text)) != nil
            throw Mismatch(hint: isRate ? "limit: \(text) is a rate" : LooseRate.hint(forQuota: text))
        }
    }
}

extension Form where Value == StatusSet {
    static let statuses = Form(
        expectation: "a list of statuses such as [2xx, 404]", schema: Form<[String]>.statusTexts.schema
    ) { element, path, problems in
        guard let texts = Form<[String]>.statusTexts.read(element, path, &problems) else { return nil }
        return StatusSet(texts)
    }
}

extension Form where Value == [String] {
    fileprivate static let statusTexts = list(
        "a list of statuses such as [2xx, 404]", of: .statusText, emptyHint: "leave it out for all")
}

extension Form where Value == String {
    fileprivate static let statusText = Form.scalar(
        "a status from 200 to 599, or a class such as 2xx",
        schema: .anyOf(.integer(200...599), .pattern(#"[2-5](?:\d\d|xx)"#)),
        guesses: { text in
            let isRange = text.wholeMatch(of: /([2-5])00 ?- ?\1 ?99/) != nil
            let name = isRange ? "\(text.prefix(1))xx" : classes[text.lowercased()]
            return [text.lowercased()] + [name].compactMap(\.self)
        }
    ) { scalar throws(Mismatch) in
        guard StatusSet([scalar.text]) != nil else { throw Mismatch() }
        return scalar.text
    }

    private static let classes = [
        "ok": "2xx", "success": "2xx", "successful": "2xx", "redirect": "3xx", "client_error": "4xx",
        "server_error": "5xx",
    ]

    /// Fields that mean something else on the way aren't taken off answers.
    static let costField = Form.text(
        "the name of a field such as X-Tollgate-Cost",
        schema: .pattern("(?![Xx]-[Rr][Aa][Tt][Ee][Ll][Ii][Mm][Ii][Tt]-)[Xx]-[A-Za-z0-9-]{1,62}")
    ) { text throws(Mismatch) in
        let name = text.lowercased()
        guard name.hasPrefix("x-"), 3...64 ~= name.utf8.count,
            name.utf8.allSatisfy({ 0x61...0x7A ~= $0 || $0.isDigit || $0 == UInt8(ascii: "-") })
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
