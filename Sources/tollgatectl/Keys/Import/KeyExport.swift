// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct KeyExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Print all keys by their hashes, a line each, as key import takes them.",
        discussion: """
            A line has all of a key's record, of the key itself its hash alone, and whether its organization is suspended. What \
            else an organization has is not in it: plan, own limits, --max-lifetime, --max-active-keys, --meta, audit trail and \
            usage. Nor is an organization without keys.

            EXAMPLES:
              tollgatectl key export > keys.jsonl
              tollgatectl key export --org acme --csv > acme.csv
            """)

    @Option(help: "Of this organization; of all where none is given.", transform: OrganizationID.init(argument:))
    var org: OrganizationID?
    @Flag(help: "As CSV with headings, instead of JSON Lines.")
    var csv = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory(to: .show) { directory in
            // Says so where there is no such organization.
            if let org { _ = try await directory.organization(org) }
            if csv { try write([CSVLine.text(KeyColumn.all.map(\.name))]) }
            var pages = KeyPages(directory, of: org)
            var unreadable = 0
            while let page = try await pages.nextExported() {
                try write(page.compactMap { $0.values.map(line) })
                for key in page where key.values == nil {
                    unreadable += 1
                    Output.note("tollgatectl: key \(key.id.text) is left out: its record can't be read")
                }
            }
            if unreadable > 0 { throw ExitCode(Failure.Code.badData.rawValue) }
        }
    }

    private func line(_ values: [KeyColumn: String]) -> String {
        if csv { return CSVLine.text(KeyColumn.all.map { values[$0] ?? "" }) }
        return JSON.object(
            KeyColumn.all.compactMap { column in
                values[column].map { (column.name, JSON($0, as: column.form)) }
            }
        ).text
    }

    private func write(_ lines: [String]) throws {
        do throws(Output.Lost) {
            try Output.lines(lines)
        } catch {
            if error.isClosedPipe { throw Listing.Unread() }
            throw error
        }
    }
}

extension JSON {
    fileprivate init(_ text: String, as form: KeyColumn.Form) {
        switch form {
        case .text, .moment, .object: self = .string(text)
        case .flag: self = .bool(text == "true")
        case .words: self = .array(text.split(separator: " ").map { .string(String($0)) })
        case .pairs:
            let pairs = text.split(separator: " ").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
            self =
                pairs.allSatisfy { $0.count == 2 } ? .object(pairs.map { ($0[0], .string($0[1])) }) : .string(text)
        }
    }
}
