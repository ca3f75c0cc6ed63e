// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// A request that Tollgate refused, or that failed by the handler: what its line in the access log says of it.
package struct RefusalNote: Sendable, Equatable {
    /// In µs since 1970.
    package var at: Int
    package var status: Int?
    package var reason: String
    package var policy: String?
    package var route: String?
    package var organization: String?
    package var key: String?
    package var client: String
    package var correlationID: String
}

/// The last of them on one loop. Noting one allocates nothing: texts are those of the configuration and of records, and
/// correlation ids have room of their own.
package struct RecentRefusals: Sendable {
    package static let most = 50

    /// What is noted of one but its correlation id.
    package struct Note: Sendable {
        package var at: Int
        package var status: Int?
        package var reason: StaticString
        package var policy: String?
        package var route: String?
        package var organization: String?
        package var key: String?
        package var client: String

        package init(
            at: Int, status: Int?, reason: StaticString, policy: String?, route: String?, organization: String?,
            key: String?, client: String
        ) {
            self.at = at
            self.status = status
            self.reason = reason
            self.policy = policy
            self.route = route
            self.organization = organization
            self.key = key
            self.client = client
        }
    }

    private var notes: [(note: Note, idLength: Int)] = []
    private var ids: [UInt8] = []
    /// How many there were in all; the next one's place, too.
    package private(set) var total = 0

    package init() {}

    package mutating func append(_ note: Note, _ correlationID: ByteBufferView) {
        if notes.isEmpty {
            notes.reserveCapacity(Self.most)
            ids = [UInt8](repeating: 0, count: Self.most * CorrelationID.maximumLength)
        }
        let place = total % Self.most
        var length = 0
        for octet in correlationID.prefix(CorrelationID.maximumLength) {
            ids[place * CorrelationID.maximumLength + length] = octet
            length += 1
        }
        if place < notes.count { notes[place] = (note, length) } else { notes.append((note, length)) }
        total += 1
    }

    /// In no particular order.
    package var all: [RefusalNote] {
        notes.enumerated().map { place, noted in
            let start = place * CorrelationID.maximumLength
            let note = noted.note
            return RefusalNote(
                at: note.at, status: note.status, reason: note.reason.description, policy: note.policy,
                route: note.route, organization: note.organization, key: note.key, client: note.client,
                correlationID: String(decoding: ids[start..<(start + noted.idLength)], as: UTF8.self))
        }
    }
}
