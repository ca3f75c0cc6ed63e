// SPDX-License-Identifier: Apache-2.0

/// Times to come as people read them. Rounded up: whoever waits as long as it says has waited long enough. What lasts is
/// rounded down.
enum TimeText {
    /// `now`, `in 1.5 s`, `in 4 min 10 s`, `in 2 h 5 min`, `in 3 d 4 h`; `never` for nil.
    static func until(microseconds: Int?) -> String {
        guard let microseconds else { return "never" }
        guard microseconds > 0 else { return "now" }
        let tenths = up(microseconds, 100_000)
        guard tenths >= 600 else {
            return tenths % 10 == 0 ? "in \(tenths / 10) s" : "in \(tenths / 10).\(tenths % 10) s"
        }
        let seconds = up(microseconds, 1_000_000)
        if seconds < 3_600 { return "in " + pair(seconds, 60, "min", "s") }
        let minutes = up(seconds, 60)
        if minutes < 1_440 { return "in " + pair(minutes, 60, "h", "min") }
        return "in " + pair(up(minutes, 60), 24, "d", "h")
    }

    /// `in 45 s`, `in 59 min`, `in 1 h`, `in 6 d`: at least so long.
    static func lasting(seconds: Int) -> String {
        let units = [(86_400, "d"), (3_600, "h"), (60, "min")]
        guard let (size, unit) = units.first(where: { seconds >= $0.0 }) else { return "in \(max(0, seconds)) s" }
        return "in \(seconds / size) \(unit)"
    }

    static func milliseconds(_ microseconds: Int?) -> Int? {
        microseconds.map { up($0, 1_000) }
    }

    private static func pair(_ count: Int, _ size: Int, _ large: String, _ small: String) -> String {
        count % size == 0 ? "\(count / size) \(large)" : "\(count / size) \(large) \(count % size) \(small)"
    }

    private static func up(_ count: Int, _ size: Int) -> Int {
        (count + size - 1) / size
    }
}
