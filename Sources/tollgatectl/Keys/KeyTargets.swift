// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

/// The keys that a command about several is given, page by page.
enum KeyTargets {
    struct Page {
        var keys: [KeyDescription] = []
        /// What names none, in words that show no key.
        var missing: [String] = []

        mutating func add(_ key: KeyDescription?, otherwise text: String) {
            if let key { keys.append(key) } else { missing.append(text) }
        }
    }

    case ids(ArraySlice<KeyID>)
    /// Lines of which each has an id or a key; headers in which keys are looked for.
    case input(InputLines, headers: [String])
    case matching(KeyPages, KeyFilter)

    private static let pageSize = 500

    /// - Returns: nil after the last page.
    mutating func next(_ directory: Directory) async throws -> Page? {
        switch self {
        case .ids(let ids):
            guard !ids.isEmpty else { return nil }
            let turn = Array(ids.prefix(Self.pageSize))
            self = .ids(ids.dropFirst(turn.count))
            let found = try await directory.keys(turn)
            return Page(
                keys: found.compactMap(\.self),
                missing: zip(turn, found).filter { $1 == nil }.map { "key \($0.0.text) does not exist" })
        case .input(var lines, let headers):
            let page = try await Self.page(of: &lines, headers, directory)
            self = .input(lines, headers: headers)
            return page
        case .matching(var pages, let filter):
            guard let page = try await pages.next() else { return nil }
            self = .matching(pages, filter)
            return Page(keys: page.filter(filter.matches))
        }
    }

    private static func page(
        of lines: inout InputLines, _ headers: [String], _ directory: Directory
    ) async throws -> Page? {
        var ids: [(number: Int, id: KeyID)] = []
        var hashes: [(number: Int, hash: CredentialHash)] = []
        var page = Page()
        var isEmpty = true
        while ids.count + hashes.count + page.missing.count < pageSize, let line = try lines.next() {
            isEmpty = false
            guard case .octets(let octets) = line else {
                page.missing.append(
                    "line \(lines.count): expected a key or its id, at most \(InputLines.longest) bytes")
                continue
            }
            let presented = PresentedKey(String(decoding: octets, as: UTF8.self), headers: headers)
            if presented.key.isEmpty { continue }
            if let id = KeyID(presented.key) {
                ids.append((lines.count, id))
            } else {
                hashes.append((lines.count, CredentialHash(of: Array(presented.key.utf8))))
            }
        }
        guard !isEmpty else { return nil }
        for (line, key) in zip(ids, try await directory.keys(ids.map(\.id))) {
            page.add(key, otherwise: "line \(line.number): key \(line.id.text) does not exist")
        }
        for (line, key) in zip(hashes, try await directory.keys(presenting: hashes.map(\.hash))) {
            page.add(key, otherwise: "line \(line.number): no such key here")
        }
        return page
    }
}
