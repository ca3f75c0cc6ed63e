// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Settings

/// A word behind the program's name that no command takes: the parser has a guess at misspelt options alone.
package struct StrayWord {
    package let word: String
    /// Whose subcommand it isn't.
    package let command: any ParsableCommand.Type
    private let told: String

    /// Nil where the parser has met with something else.
    package init?(_ error: any Error, of arguments: [String], for root: (some ParsableCommand).Type) {
        let reason = root.message(for: error)
        guard reason.hasPrefix("Unexpected argument '") || reason.contains(#/^\d+ unexpected arguments: /#) else {
            return nil
        }
        var command: any ParsableCommand.Type = root
        var rest = arguments[...]
        while let name = rest.first, let next = command.subcommand(name) {
            command = next
            rest.removeFirst()
        }
        // Behind options it takes the parser to know which is whose value.
        guard let word = rest.first, !word.hasPrefix("-") else { return nil }
        self.word = word
        self.command = command
        told = root.fullMessage(for: error)
    }

    /// The subcommand that it may have been meant to be.
    package var nearest: String? {
        let names = command.configuration.subcommands.map { $0._commandName }
        return names.isEmpty ? nil : Spelling.nearest(to: word, among: names + ["help"])
    }

    /// As the parser tells it, with a guess as it has of options; nil without one.
    package func message(meaning guess: String?) -> String? {
        guard let guess else { return nil }
        let lines = told.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        let rest = lines.dropFirst().map { "\n\($0)" }.joined()
        return "\(lines.first ?? ""). Did you mean '\(guess)'?\(rest)"
    }
}

extension ParsableCommand {
    fileprivate static func subcommand(_ name: String) -> (any ParsableCommand.Type)? {
        configuration.subcommands.first { $0._commandName == name }
    }
}
