// SPDX-License-Identifier: Apache-2.0

/// Writes families of metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.
///
/// The two differ in a counter's name before its samples, in numbers of `le`, in escapes of help texts, and in the end.
package enum Exposition: Sendable, CaseIterable {
    case text, openMetrics

    package var contentType: String {
        switch self {
        case .text: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    package func render(_ families: [MetricFamily]) -> String {
        var text = ""
        for family in families { append(family, to: &text) }
        if self == .openMetrics { text += "# EOF\n" }
        return text
    }

    private func append(_ family: MetricFamily, to text: inout String) {
        let name = self == .openMetrics && family.kind == .counter ? String(family.name.dropLast(6)) : family.name
        text += "# HELP \(name) \(escapedHelp(family.help))\n# TYPE \(name) \(family.kind)\n"
        for sample in family.samples { append(sample, of: family.name, to: &text) }
    }

    private func append(_ sample: MetricFamily.Sample, of name: String, to text: inout String) {
        let labels = sample.labels.map { #"\#($0.name)="\#(Self.escaped($0.value))""# }.joined(separator: ",")
        let braced = labels.isEmpty ? "" : "{\(labels)}"
        switch sample.value {
        case .count(let count): text += "\(name)\(braced) \(count)\n"
        case .nanoseconds(let time): text += "\(name)\(braced) \(Self.seconds(time))\n"
        case .histogram(let histogram):
            let before = labels.isEmpty ? "" : labels + ","
            var total = 0
            for (bucket, count) in histogram.counts.enumerated() {
                total += count
                let bounds = histogram.bounds.nanoseconds
                let bound = bucket < bounds.count ? self.bound(bounds[bucket]) : "+Inf"
                text += #"\#(name)_bucket{\#(before)le="\#(bound)"} \#(total)\#n"#
            }
            text += "\(name)_sum\(braced) \(Self.seconds(histogram.sum))\n\(name)_count\(braced) \(total)\n"
        }
    }

    /// OpenMetrics has canonical numbers here: 1.0, where the text format has 1.
    private func bound(_ nanoseconds: Int) -> String {
        let text = Self.seconds(nanoseconds)
        return self == .openMetrics && !text.contains(".") ? text + ".0" : text
    }

    /// Exact, without zeros at the end.
    static func seconds(_ nanoseconds: Int) -> String {
        let (whole, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        guard rest > 0 else { return "\(whole)" }
        var digits = String(String(1_000_000_000 + rest).dropFirst())
        while digits.last == "0" { digits.removeLast() }
        return "\(whole).\(digits)"
    }

    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += #"\\"#
            case "\"": escaped += #"\""#
            case "\n": escaped += #"\n"#
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// A quote is escaped by OpenMetrics alone.
    private func escapedHelp(_ help: String) -> String {
        let escaped = Self.escaped(help)
        return self == .openMetrics
            ? escaped
            : escaped.split(separator: #"\""#, omittingEmptySubsequences: false)
                .joined(separator: "\"")
    }
}
