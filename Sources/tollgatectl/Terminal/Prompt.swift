// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

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
        FileHandle.standardError.write(Data("\(question) [y/N] ".utf8))
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw Failure(.refused, nothing).report()
        }
    }

    /// A line that doesn't appear on the screen; from a pipe, its first line. White space around it is no part of it.
    static func secret(_ question: String) -> String {
        let line: String?
        if isatty(STDIN_FILENO) != 0 {
            // The line may be pasted, and glibc's reads up to 8 KiB; a signal leaves the terminal as it was.
            line = getpass(question).map { String(cString: $0) }
        } else {
            line = readLine()
        }
        return (line ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
