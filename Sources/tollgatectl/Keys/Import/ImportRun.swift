// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory

/// Takes a file's lines page by page: while one is written, the next is read.
struct ImportRun {
    typealias Writer = @Sendable ([ImportedKey]) async throws -> [KeyImport.Outcome]

    /// Lines a page. What isn't written yet is held in memory, twice as much as this.
    private static let pageSize = 2_000

    private struct Page: Sendable {
        var lines: [Int] = []
        var keys: [ImportedKey] = []
        var refused: [(line: Int, reason: String)] = []
        /// How much of the file was read behind it, in octets, and how many lines.
        var consumed = 0
        var last = 0
    }

    private var reader: KeyRowReader
    private let isJSON: Bool
    private var progress: Progress
    private(set) var tally = ImportTally()
    /// The last line that something became of.
    private var last = 0

    init(_ reader: KeyRowReader, isJSON: Bool, _ progress: Progress) {
        self.reader = reader
        self.isJSON = isJSON
        self.progress = progress
    }

    /// Ends early where ``Interruption`` came.
    mutating func go(_ write: @escaping Writer) async throws {
        defer { progress.clear() }
        var page = try nextPage()
        while let current = page, Interruption.exitCode == nil {
            async let outcomes = write(current.keys)
            let following = Result { () throws(Failure) in try nextPage() }
            // What was written is told of, also where the next page can't be read.
            try settle(current, try await outcomes)
            page = try following.get()
        }
    }

    private mutating func nextPage() throws(Failure) -> Page? {
        var page = Page()
        while page.lines.count + page.refused.count < Self.pageSize, let (line, row) = try reader.next() {
            switch row {
            case .key(let key):
                page.lines.append(line)
                page.keys.append(key)
            case .refused(let reason): page.refused.append((line, reason))
            }
        }
        page.consumed = reader.lines.consumed
        page.last = reader.lines.count
        return page.lines.isEmpty && page.refused.isEmpty ? nil : page
    }

    private mutating func settle(_ page: Page, _ outcomes: [KeyImport.Outcome]) throws {
        last = page.last
        var refused = page.refused
        for _ in refused { tally.countRefusal() }
        for (line, outcome) in zip(page.lines, outcomes) {
            tally.count(outcome)
            if case .refused(let refusal) = outcome { refused.append((line, refusal.text)) }
        }
        if !refused.isEmpty { progress.clear() }
        for (line, reason) in refused.sorted(by: { $0.line < $1.line }) {
            if isJSON {
                try Output.json([("line", .integer(line)), ("reason", .string(reason))])
            } else {
                Output.note("tollgatectl: line \(line): \(reason)")
            }
        }
        progress.show(page.consumed, count: tally.total)
    }

    /// Where nothing became of any line, there is nothing to add.
    func stopped(by failure: Failure) -> Failure {
        last == 0 && tally.total == 0 ? failure : Failure(failure.code, "\(failure.message)\ntollgatectl: \(soFar)")
    }

    var soFar: String {
        "up to line \(last): \(tally.text); for the rest import the file again, which passes over what is there"
    }
}
