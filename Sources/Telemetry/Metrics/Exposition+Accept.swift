// SPDX-License-Identifier: Apache-2.0

extension Exposition {
    /// The format that a scraper would rather have (RFC 9110 §12.5.1). OpenMetrics is for whoever names it; who takes neither
    /// gets the text format, which people can read.
    ///
    /// - Parameter accept: the lines of `Accept`.
    package init(accepting accept: [String]) {
        var (text, openMetrics) = (0, 0)
        for range in accept.flatMap({ $0.split(separator: ",") }) {
            let parts = range.split(separator: ";").map { Self.trimmed($0).lowercased() }
            guard let type = parts.first else { continue }
            let parameters = parts.dropFirst().map { part -> (name: String, value: String) in
                let halves = part.split(separator: "=", maxSplits: 1).map(Self.trimmed)
                return (halves.first ?? "", halves.count > 1 ? halves[1].filter { $0 != "\"" } : "")
            }
            let version = parameters.first { $0.name == "version" }?.value
            let weight = parameters.first { $0.name == "q" }.map { Self.thousandths($0.value) } ?? 1_000
            switch type {
            case "application/openmetrics-text" where version == nil || version == "1.0.0":
                openMetrics = max(openMetrics, weight)
            case "text/plain" where version == nil || version == "0.0.4": text = max(text, weight)
            case "text/*", "*/*": text = max(text, weight)
            default: break
            }
        }
        self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
    }

    private static func trimmed(_ text: Substring) -> String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let end = text.lastIndex { !isBlank($0) }.map { text.index(after: $0) } ?? text.startIndex
        return String(text[..<end].drop(while: isBlank))
    }

    /// `0.25` is 250; what is no weight is 0.
    private static func thousandths(_ text: String) -> Int {
        let halves = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = halves.first, whole == "0" || whole == "1" else { return 0 }
        guard halves.count > 1 else { return whole == "1" ? 1_000 : 0 }
        guard halves[1].count <= 3, halves[1].utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return 0 }
        let digits = halves[1] + String(repeating: "0", count: 3 - halves[1].count)
        return min(1_000, (whole == "1" ? 1_000 : 0) + (Int(digits) ?? 0))
    }
}
