// SPDX-License-Identifier: Apache-2.0

/// What is exposed under one name.
package struct MetricFamily: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// Never goes back while the process lives; its name ends in `_total`.
        case counter
        case gauge, histogram
    }

    package struct Label: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package enum Value: Sendable, Hashable {
        case count(Int)
        /// Of a clock or a duration, exact.
        case nanoseconds(Int)
        case histogram(Histogram)
    }

    package struct Sample: Sendable, Hashable {
        package var labels: [Label]
        package var value: Value

        package init(_ labels: [Label] = [], _ value: Value) {
            self.labels = labels
            self.value = value
        }
    }

    package var name: String
    package var kind: Kind
    package var help: String
    package var samples: [Sample]

    package init(_ name: String, _ kind: Kind, _ help: String, _ samples: [Sample]) {
        assert(name.hasSuffix("_total") == (kind == .counter), "A counter's name ends in _total, and no other")
        self.name = name
        self.kind = kind
        self.help = help
        self.samples = samples
    }

    /// Of one number without labels.
    package init(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
        self.init(name, kind, help, [Sample([], .count(value))])
    }

    /// By one label; what hasn't counted yet is left out.
    package init(
        _ name: String, _ kind: Kind, _ help: String, by label: String, counted: [(String, Int)]
    ) {
        self.init(
            name, kind, help,
            counted.filter { $0.1 > 0 || kind == .gauge }.map { Sample([Label(label, $0.0)], .count($0.1)) })
    }

    package init(_ name: String, _ help: String, _ histogram: Histogram) {
        self.init(name, .histogram, help, [Sample([], .histogram(histogram))])
    }
}
