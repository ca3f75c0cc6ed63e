// SPDX-License-Identifier: Apache-2.0

import Octets

/// What a supervisor can be told, as sd_notify(3) writes it.
enum SupervisorNotice: Equatable {
    /// It has started, or goes on after a reload.
    case ready
    /// It reads its configuration again.
    ///
    /// - Parameter monotonicMicroseconds: `CLOCK_MONOTONIC` when it began.
    case reloading(monotonicMicroseconds: Int)
    case stopping
    /// How it is, in one line for people.
    case status(String)
    /// How long what is under way may still take.
    case extendTimeout(Duration)
    /// It is alive.
    case watchdog

    /// In octets. A message is 4096 at most, and has a few other lines.
    private static let longestStatus = 1024

    /// A line each; one message has as many as it likes.
    static func message(_ notices: [SupervisorNotice]) -> String {
        notices.map(\.text).joined(separator: "\n")
    }

    private var text: String {
        switch self {
        case .ready: "READY=1"
        case .reloading(let microseconds): "RELOADING=1\nMONOTONIC_USEC=\(microseconds)"
        case .stopping: "STOPPING=1"
        case .status(let line): "STATUS=\(Self.clipped(line.printable))"
        case .extendTimeout(let time): "EXTEND_TIMEOUT_USEC=\(Int(time / .microseconds(1)))"
        case .watchdog: "WATCHDOG=1"
        }
    }

    private static func clipped(_ line: String) -> String {
        guard line.utf8.count > longestStatus else { return line }
        var (clipped, count) = (String.UnicodeScalarView(), 0)
        for scalar in line.unicodeScalars {
            count += UTF8.width(scalar)
            guard count <= longestStatus else { break }
            clipped.append(scalar)
        }
        return String(clipped)
    }
}
