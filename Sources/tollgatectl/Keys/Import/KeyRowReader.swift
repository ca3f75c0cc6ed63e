// SPDX-License-Identifier: Apache-2.0

import Directory
import Octets

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Keys of a file, a line each: JSON Lines, or CSV with a line of headings (RFC 4180). Which of both, its first octet tells.
struct KeyRowReader {
    /// What a line is.
    enum Row {
        case key(ImportedKey)
        /// Why it is none, in words.
        case refused(String)
    }

    private enum Format {
        case json
        case csv([KeyColumn?])
    }

    /// Columns that are passed over.
    private let ignored: Set<String>
    private var format: Format?
    private(set) var lines: InputLines
    private let decoder = JSONDecoder()

    init(_ lines: InputLines, ignoring ignored: Set<String>) {
        self.lines = lines
        self.ignored = ignored
    }

    /// - Returns: nil at the end.
    /// - Throws: a failure where the headings can't be read: then no line can.
    mutating func next() throws(Failure) -> (line: Int, row: Row)? {
        while let line = try lines.next() {
            guard case .octets(var octets) = line else {
                return (lines.count, .refused("expected at most \(InputLines.longest) bytes in a line"))
            }
            // A byte order mark, as spreadsheets write it.
            if lines.count == 1, octets.starts(with: [0xEF, 0xBB, 0xBF]) { octets = octets.dropFirst(3) }
            if octets.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { continue }
            guard let format else {
                try begin(octets)
                if case .csv? = self.format { continue }
                return (lines.count, row(ofJSON: octets))
            }
            switch format {
            case .json: return (lines.count, row(ofJSON: octets))
            case .csv(let columns): return (lines.count, row(ofCSV: octets, columns))
            }
        }
        return nil
    }

    private mutating func begin(_ octets: ArraySlice<UInt8>) throws(Failure) {
        guard octets.first != UInt8(ascii: "{") else {
            format = .json
            return
        }
        guard let names = CSVLine.fields(octets) else {
            throw Failure(.badData, "line 1: expected the headings of CSV, or an object of JSON")
        }
        var columns: [KeyColumn?] = []
        for name in names {
            if ignored.contains(name) {
                columns.append(nil)
            } else if let column = KeyColumn(name), !columns.contains(column) {
                columns.append(column)
            } else if KeyColumn(name) != nil {
                throw Failure(.badData, "line 1: the column \(name) is there twice")
            } else {
                throw Failure(.badData, "line 1: \(Self.unknown(name))")
            }
        }
        format = .csv(columns)
    }

    private static func unknown(_ name: String) -> String {
        let names = KeyColumn.all.map(\.name)
        return "there is no column \(name.printable)\(names.suggestion(for: name)); to pass over it: --ignore NAME"
    }

    // MARK: Lines

    private func row(ofCSV octets: ArraySlice<UInt8>, _ columns: [KeyColumn?]) -> Row {
        guard let fields = CSVLine.fields(octets) else {
            return .refused("expected UTF-8 in which every quote that is opened ends on its line")
        }
        guard fields.count == columns.count else {
            return .refused("expected \("column".counted(columns.count)), as the headings say, got \(fields.count)")
        }
        var values: [KeyColumn: String] = [:]
        for (column, field) in zip(columns, fields) {
            if let column { values[column] = field }
        }
        return row(values)
    }

    private func row(ofJSON octets: ArraySlice<UInt8>) -> Row {
        guard let object = try? decoder.decode([String: DecodedJSON].self, from: Data(octets)) else {
            return .refused("expected an object of JSON")
        }
        var values: [KeyColumn: String] = [:]
        for (name, value) in object where !ignored.contains(name) {
            guard let column = KeyColumn(name) else { return .refused(Self.unknown(name)) }
            guard let text = value.json?.text(as: column.form) else {
                return .refused("\(name): expected \(column.form.expectation)")
            }
            values[column] = text
        }
        return row(values)
    }

    private func row(_ values: [KeyColumn: String]) -> Row {
        do throws(ImportedKey.Flaw) {
            return .key(try ImportedKey(values))
        } catch {
            return .refused("\(error)")
        }
    }
}
