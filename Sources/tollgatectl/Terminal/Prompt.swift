// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import LibC

/// Questions to the person at the terminal.
enum Prompt {
    /// Goes on only if somebody says yes.
    ///
    /// - Parameters:
    ///   - doing: what `--yes` would let happen, as a refusal says it where nobody can be asked.
    ///   - nothing: said where the answer is no.
    static func confirm(_ question: String, doing: String, otherwise nothing: String) throws {
        guard isatty(STDIN_FILENO) != 0 else {
            throw ValidationError("\(doing); give --yes where nobody can be asked")
        }
        Output.onError("\(question) [y/N] ")
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw Failure(.refused, nothing).report()
        }
    }

    /// More than any key has, which comes in a field of a request.
    private static let longestSecret = 65_536
    /// Control-C.
    private static let interrupt: UInt8 = 3

    /// A line that doesn't appear on the screen; from a pipe, its first line. White space around it is no part of it.
    static func secret(_ question: String) throws -> String {
        let line = isatty(STDIN_FILENO) != 0 ? try hiddenLine(question) : readOctets(to: [newline])
        guard line.count <= longestSecret else {
            throw Failure(.badData, "that is no key: its line has more than \(longestSecret) octets").report()
        }
        return String(trimmed(String(decoding: line, as: UTF8.self).unicodeScalars[...]))
    }

    private static let newline = UInt8(ascii: "\n")

    private static func trimmed(_ text: Substring.UnicodeScalarView) -> Substring.UnicodeScalarView {
        var text = text
        while let first = text.first, first.properties.isWhitespace { text.removeFirst() }
        while let last = text.last, last.properties.isWhitespace { text.removeLast() }
        return text
    }

    /// Without echo. Control-C ends the line instead of the process, so that the terminal is left as it was.
    private static func hiddenLine(_ question: String) throws -> [UInt8] {
        var usual = termios()
        guard tcgetattr(STDIN_FILENO, &usual) == 0 else { return [] }
        var hidden = usual
        hidden.c_lflag &= ~tcflag_t(ECHO | ISIG)
        withUnsafeMutableBytes(of: &hidden.c_cc) { $0[Int(VEOL)] = interrupt }
        // Before the question: what was typed until then is thrown away, and would be seen.
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
        Output.onError(question)
        let line = readOctets(to: [newline, interrupt])
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual)
        Output.note("")
        guard line.last != interrupt else { throw ExitCode(130) }
        return line
    }

    /// With what ended it; at most one more than ``longestSecret``.
    private static func readOctets(to ends: Set<UInt8>) -> [UInt8] {
        var octets: [UInt8] = []
        while octets.count <= longestSecret, let octet = UInt8(exactly: getchar()) {
            octets.append(octet)
            if ends.contains(octet) { break }
        }
        return octets
    }
}
