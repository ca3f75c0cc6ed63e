// SPDX-License-Identifier: Apache-2.0

/// What an operator notes about an organization or a key: a JSON object of at most 1 KiB. Sidecars say some of its members
/// to their handler.
package struct Meta: Sendable, Equatable {
    /// Octets of it, white space between its parts left out.
    package static let longest = 1_024

    package enum Value: Sendable, Equatable {
        /// A string; a number, as it is written; `true` or `false`.
        case text(String)
        /// `null`: there is no such thing, whatever else says one.
        case null
        /// An object or a list.
        case nested
    }

    /// Why a text is no such thing.
    package enum Flaw: Error, Sendable, Equatable {
        case notJSON(offset: Int)
        case noObject
        case twice(name: String)
        case tooDeep
        case tooLong(octets: Int)
    }

    /// Without white space between its parts; members in their order.
    package let text: String
    package let members: [String: Value]

    /// Nothing is noted.
    package var isEmpty: Bool { members.isEmpty }

    package init(parsing text: String) throws(Flaw) {
        var reader = MetaReader(text)
        members = try reader.readObject()
        self.text = reader.compact
        let octets = self.text.utf8.count
        guard octets <= Self.longest else { throw .tooLong(octets: octets) }
    }
}

extension Meta.Flaw: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notJSON(let offset): "it is no JSON at offset \(offset)"
        case .noObject: "it is no object"
        case .twice(let name): "it has the member \(name) twice"
        case .tooDeep: "it is nested more than \(MetaReader.deepest) deep"
        case .tooLong(let octets): "it has \(octets) bytes"
        }
    }
}
