// SPDX-License-Identifier: Apache-2.0

import Endpoints
package import Redis

/// Where a page of a scan ends: on which of a cluster's primaries, and where there.
///
/// Its text is Redis' cursor on one server, and `HOST:PORT CURSOR` on a cluster, whose nodes have cursors of their own.
private struct ScanPosition {
    let primary: Substring?
    let cursor: String

    init(_ text: String) {
        let space = text.lastIndex(of: " ")
        primary = space.map { text[..<$0] }
        cursor = space.map { String(text[text.index(after: $0)...]) } ?? text
    }

    static func text(_ cursor: String, on primary: ServerAddress?) -> String {
        primary.map { "\($0) \(cursor)" } ?? cursor
    }
}

extension RedisClient {
    /// A page of the names there are, in no order: of a cluster on one primary after another. One may come twice while Redis
    /// grows its tables, and while hash slots move one may be missed.
    ///
    /// - Parameters:
    ///   - position: `"0"` to begin, then what the last call returned.
    ///   - step: how many names SCAN looks at.
    /// - Returns: where the next page begins; nil after the last.
    package func scan(
        after position: String, matching pattern: String, step: String, type: String? = nil
    ) async throws(DirectoryError) -> (names: [String], next: String?) {
        let (primaries, position) = (primaries, ScanPosition(position))
        let index = primaries.firstIndex { $0.address.map { "\($0)" } == position.primary.map(String.init) }
        // Of one that is a primary no more nobody has the rest: all comes once more.
        let primary = index ?? 0
        guard primaries.indices.contains(primary) else {
            throw .redis(.unfit(.failingOver("the cluster has no primary")))
        }
        let address = primaries[primary].address
        var command = RedisCommand("SCAN")
        command.append(index == nil ? "0" : position.cursor)
        for argument in ["MATCH", pattern, "COUNT", step] + (type.map { ["TYPE", $0] } ?? []) {
            command.append(argument)
        }
        let reply: RedisReply
        do {
            reply = try await primaries[primary].send(command)
        } catch {
            guard case .unfit(.failingOver) = error, self.primaries.allSatisfy({ $0.address != address }) else {
                throw .redis(error)
            }
            return ([], "0")
        }
        guard let parts = reply.array, parts.count == 2, let next = parts[0].text, let found = parts[1].array else {
            throw .unexpectedReply
        }
        let names = found.compactMap(\.text)
        guard next == "0" else { return (names, ScanPosition.text(next, on: address)) }
        guard primary + 1 < primaries.count else { return (names, nil) }
        return (names, ScanPosition.text("0", on: primaries[primary + 1].address))
    }
}
