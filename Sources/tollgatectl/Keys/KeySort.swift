// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

/// By what a list of keys is sorted.
enum KeySort: String, CaseIterable {
    case created, expires, used, name, user, id

    init(argument text: String) throws {
        guard let sort = KeySort(rawValue: text) else {
            let names = Self.allCases.map(\.rawValue)
            throw ValidationError("expected one of \(names.joined(separator: ", "))\(names.suggestion(for: text))")
        }
        self = sort
    }

    /// What comes first: the oldest, what ends next, what was never used or not for longest, and the alphabet.
    struct Place: Comparable {
        var number: Int
        var text: String

        static func < (one: Place, other: Place) -> Bool {
            (one.number, one.text) < (other.number, other.text)
        }
    }

    func place(of key: KeyDescription) -> Place {
        switch self {
        case .created: Place(number: key.createdAt ?? 0, text: key.id.text)
        case .expires: Place(number: key.endsAt ?? .max, text: key.id.text)
        case .used: Place(number: key.lastUsedAt ?? 0, text: key.id.text)
        case .name: Place(number: 0, text: "\(key.name)\n\(key.id.text)")
        case .user: Place(number: 0, text: "\(key.user)\n\(key.id.text)")
        case .id: Place(number: 0, text: key.id.text)
        }
    }
}
