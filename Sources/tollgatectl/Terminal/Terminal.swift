// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

import LibC

/// What standard output is: how wide, and whether it shows colours.
struct Terminal: Sendable {
    /// Columns; nil where it is no terminal, and lines may be as long as they are.
    var width: Int?
    var hasColor: Bool

    static let output = Terminal(
        width: columns(of: STDOUT_FILENO), environment: ProcessInfo.processInfo.environment)

    /// - Parameter environment: `NO_COLOR`, set to anything, and `TERM=dumb` mean no colours (no-color.org).
    init(width: Int?, environment: [String: String]) {
        self.width = width
        hasColor =
            width != nil && environment["NO_COLOR", default: ""].isEmpty && environment["TERM"] != "dumb"
    }

    private static func columns(of descriptor: CInt) -> Int? {
        guard isatty(descriptor) != 0 else { return nil }
        var size = winsize()
        // A terminal that doesn't know its size says 0.
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }
}

/// A colour by what it means.
enum Style: Sendable {
    case plain, heading, good, bad, faint

    /// SGR parameters (ECMA-48 §8.3.117).
    private var code: String? {
        switch self {
        case .plain: nil
        case .heading: "1"
        case .good: "32"
        case .bad: "31"
        case .faint: "2"
        }
    }

    func apply(to text: String, on terminal: Terminal) -> String {
        guard terminal.hasColor, let code, !text.isEmpty else { return text }
        return "\u{1B}[\(code)m\(text)\u{1B}[0m"
    }
}
