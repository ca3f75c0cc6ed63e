// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct KeyImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take over keys by their hashes, a line each: JSON Lines, or CSV with headings.",
        discussion: """
            organization_id and key_hash (SHA-256 of the key in hexadecimal) are needed; name, created_by_user_id, \
            is_active, created_at, expires_at, scopes, limits and all else that key export writes may be there. \
            A line that can't be taken is told of with its number, and the others go on. A key that is there already stays \
            as it is, but one that is inactive in the file is revoked. A revoked key stays revoked. So a file may be \
            imported again, whole, after an interruption too. An organization gets no more active keys than it may have. One that \
            --create-orgs makes is suspended where organization_status says so, and has no limits, plan or --meta.

            EXAMPLES:
              tollgatectl key import keys.jsonl
              tollgatectl key import --create-orgs keys.csv
              tollgatectl key export | tollgatectl --redis redis://other:6379 key import --create-orgs
            """)

    @Argument(help: "The file; standard input where none is given.", completion: .file())
    var file: String?
    @Flag(help: "Make organizations that are missing.")
    var createOrgs = false
    @Option(
        help: ArgumentHelp("A column that is passed over. Repeatable.", valueName: "column"))
    var ignore: [String] = []
    @Flag(help: "Look at the lines alone; Redis isn't asked.")
    var dryRun = false
    @Flag(
        help:
            "Print JSON: imported, there_before, revoked, stay_revoked, refused; before it an object for each line that is refused: line, reason."
    )
    var json = false
    @OptionGroup var replicas: ReplicaWait
    @OptionGroup var connection: Connection

    func run() async throws {
        let input: ImportInput
        do throws(Failure) {
            input = try ImportInput(file)
        } catch {
            throw error.report()
        }
        defer { input.close() }
        Interruption.watch()
        var run = ImportRun(
            KeyRowReader(input.lines, ignoring: Set(ignore)), isJSON: json,
            Progress(total: input.size, of: "lines"))
        if dryRun {
            do {
                try await run.go { keys in keys.map { _ in .imported } }
            } catch let error as Failure {
                throw error.report()
            }
            return try finish(run, done: "\("key".counted(run.tally.imported)) could be imported")
        }
        try await connection.withRedis { session in
            let terms = try await KeyTermsInForce(session).terms
            let writer = try await KeyImport(
                session.directory, maximumActive: terms.maximumActive, createsOrganizations: createOrgs)
            do {
                try await run.go { try await writer($0) }
                if run.tally.imported + run.tally.revoked > 0 { await replicas.warn(session.directory) }
                try finish(run, done: nil)
            } catch let error as DirectoryError {
                throw run.stopped(by: Failure(error, at: session.endpoint))
            } catch let failure as Failure {
                throw run.stopped(by: failure)
            } catch let lost as Output.Lost {
                Output.note("tollgatectl: \(run.soFar)")
                throw lost
            }
        }
    }

    private func finish(_ run: ImportRun, done: String?) throws {
        if json {
            try Output.json(run.tally.json)
        } else {
            try Output.line("\(done ?? run.tally.text).")
        }
        if let code = Interruption.exitCode {
            Output.note("tollgatectl: interrupted: \(run.soFar)")
            throw code
        }
        if run.tally.refused > 0 { throw ExitCode(Failure.Code.badData.rawValue) }
    }
}
