// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import Testing

/// What people read before anything else, word for word: at 80 columns, since the output is no terminal.
///
/// To renew a snapshot: `tollgatectl key list --help > "Tests/CommandTests/Snapshots/key list.txt"`.
@Suite struct HelpTests {
    private let tollgatectl = Tollgatectl(url: "")

    @Test(arguments: [
        "", "org", "org create", "org list", "org show", "org set", "org suspend", "org resume", "org limit",
        "org plan", "org delete", "key", "key issue", "key list", "key show", "key verify", "key revoke", "key rotate",
        "key limit", "key set", "key expiring", "key import", "key export",
        "plan", "plan set", "plan list", "plan show", "plan delete", "quota", "quota show", "quota reset",
        "quota grant",
        "usage", "routes", "audit", "database", "database show", "database adopt", "check", "check list",
        "check rotate",
        "check retire", "check make",
    ])
    func isAsInTheSnapshot(verb: String) async throws {
        let name = verb.isEmpty ? "tollgatectl" : verb
        let file = try #require(Bundle.module.url(forResource: name, withExtension: "txt", subdirectory: "Snapshots"))
        let outcome = try await tollgatectl.run(verb.split(separator: " ").map(String.init) + ["--help"])
        #expect((outcome.code, outcome.errors) == (0, ""))
        #expect(try outcome.output == String(contentsOf: file, encoding: .utf8))
    }

    /// Each verb shows how it is used, and is among those above.
    @Test(arguments: ["org", "key", "plan", "quota", "database", "check"]) func everyVerbHasAnExample(noun: String)
        async throws
    {
        let help = try await tollgatectl(noun, "--help").output
        let list = try #require(help.split(separator: "SUBCOMMANDS:\n").last).split(separator: "\n\n")[0]
        let verbs = list.split(separator: "\n").filter { $0.hasPrefix("  ") && !$0.hasPrefix("   ") }
            .compactMap { $0.split(separator: " ").first }
        #expect(verbs.count >= 2)
        for verb in verbs {
            let output = try await tollgatectl(noun, String(verb), "--help").output
            #expect(output.contains("EXAMPLE"), "\(noun) \(verb)")
            #expect(output.contains("\n  tollgatectl \(noun) \(verb)"), "\(noun) \(verb)")
        }
    }

    @Test func versionIsTheDaemons() async throws {
        let outcome = try await tollgatectl("--version")
        #expect(outcome == .init(code: 0, output: "tollgatectl \(Version.current)\n", errors: ""))
    }

    /// As a misspelt option.
    @Test func aMisspeltVerbHasAGuess() async throws {
        let outcome = try await tollgatectl("org", "creat", "acme")
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(
            outcome.errors.hasPrefix(
                "Error: 2 unexpected arguments: 'creat', 'acme'. Did you mean 'create'?\nUsage: tollgatectl org "))
        let stranger = try await tollgatectl("org", "marry", "acme")
        #expect(stranger.code == 64)
        #expect(stranger.errors.hasPrefix("Error: 2 unexpected arguments: 'marry', 'acme'\nUsage: "))
    }

    /// The script of each shell completes nouns, verbs and options.
    @Test(arguments: ["bash", "zsh", "fish"]) func completionIsGenerated(shell: String) async throws {
        let outcome = try await tollgatectl("--generate-completion-script", shell)
        #expect((outcome.code, outcome.errors) == (0, ""))
        for word in ["quota", "verify", "reset", "namespace"] { #expect(outcome.output.contains(word)) }
    }

    /// What bash makes of its script: the words that may follow.
    @Test func bashCompletes() async throws {
        let outcome = try await tollgatectl.shell(
            """
            tollgatectl --generate-completion-script bash > "$0/completion.bash" && bash -c '
              . "$0/completion.bash"
              COMP_WORDS=(tollgatectl quota "") COMP_CWORD=2 COMP_LINE="tollgatectl quota " COMP_POINT=18
              _tollgatectl; echo "${COMPREPLY[@]}"' "$0"; rm "$0/completion.bash"; rmdir "$0"
            """, try temporaryFolder())
        #expect(outcome.code == 0, "\(outcome.errors)")
        let words = Set(outcome.output.split(whereSeparator: \.isWhitespace))
        #expect(words.isSuperset(of: ["show", "reset"]), "\(outcome)")
    }

    private func temporaryFolder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tollgate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.path
    }
}
