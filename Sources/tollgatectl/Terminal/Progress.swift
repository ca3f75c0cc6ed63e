// SPDX-License-Identifier: Apache-2.0

import LibC

/// How far a long command is, on the last line of a terminal; elsewhere nothing.
struct Progress {
    private static let width = 24
    private static let interval = Duration.milliseconds(200)

    /// Of the whole; nil where nobody knows.
    private let total: Int?
    private let noun: String
    private let isShown = isatty(STDERR_FILENO) != 0
    private let beginning = ContinuousClock.now
    private var shownAt: ContinuousClock.Instant?

    init(total: Int?, of noun: String) {
        self.total = total
        self.noun = noun
    }

    /// - Parameters:
    ///   - done: of the total.
    ///   - count: of the things.
    mutating func show(_ done: Int, count: Int) {
        let now = ContinuousClock.now
        guard isShown, shownAt.map({ now - $0 >= Self.interval }) ?? true else { return }
        shownAt = now
        Output.onError("\r\(text(done, count, after: now - beginning))\u{1B}[K")
    }

    /// Before anything else is written there.
    mutating func clear() {
        guard isShown, shownAt != nil else { return }
        shownAt = nil
        Output.onError("\r\u{1B}[K")
    }

    /// `[######                  ]  25 %  250000 keys, 20000/s, 38 s left`
    func text(_ done: Int, _ count: Int, after time: Duration) -> String {
        let seconds = max(Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18, 0.001)
        var text = "\(count) \(noun), \(Int(Double(count) / seconds))/s"
        guard let total, total > 0 else { return text }
        let share = min(1, Double(done) / Double(total))
        let marks = Int(share * Double(Self.width))
        let bar = String(repeating: "#", count: marks) + String(repeating: " ", count: Self.width - marks)
        if share > 0 { text += ", \(Int(seconds / share - seconds)) s left" }
        return "[\(bar)] \(Int(share * 100)) %  \(text)"
    }
}
