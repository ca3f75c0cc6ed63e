// SPDX-License-Identifier: Apache-2.0

import LibC
import Settings

/// Reads the file of the configuration again, and knows whether it says anything new.
///
/// | what the file says | what is read next time |
/// |---|---|
/// | what it said, or what is wrong | only another text |
/// | what is right, and couldn't be put to work | the same text too |
/// | nothing, since it can't be read | whatever it says when it is back |
struct ConfigurationReader {
    private let sources: ConfigurationSources
    /// What needs no second look.
    private var last: String?

    /// - Parameter text: what the file said when the process began.
    init(_ sources: ConfigurationSources, after text: String?) {
        self.sources = sources
        last = text
    }

    /// Flags, variables and defaults don't change.
    var hasFile: Bool { sources.path != nil }

    /// - Parameter again: look at it even if it says what it said.
    /// - Returns: nil where it says what it said. Else what is to be put to work; ``keep(_:)`` once that is done.
    /// - Throws: ``ConfigurationError``, or why the file isn't looked into.
    mutating func read(again: Bool) throws -> (settings: Settings, text: String)? {
        let before = last
        last = nil
        let text = try text()
        last = text
        guard text != before || again else { return nil }
        let settings = try Settings.load(sources, text: text)
        last = nil
        return (settings, text)
    }

    /// It is at work.
    mutating func keep(_ text: String) {
        last = text
    }

    private func text() throws -> String {
        let path = sources.path ?? ""
        var status = stat()
        // A pipe has said what it had to say.
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG, status.st_mode & S_IFMT != S_IFDIR {
            throw ReadingRefusal("\(path): expected a file that can be read again, got a pipe or a device")
        }
        let text = try sources.text() ?? ""
        // Whoever writes it has just begun: nothing in it would mean that every default is wanted.
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw ReadingRefusal("\(path): expected settings, got nothing")
        }
        return text
    }
}

/// Why a file isn't even looked into.
private struct ReadingRefusal: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
