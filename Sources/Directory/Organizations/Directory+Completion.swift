// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Redis

/// The second and the third step of making a key, whose record is written
/// (docs/decisions/0015-one-hash-slot-a-script.md).
extension Directory {
    /// Where Redis refuses one of them, or it was never sent, what the steps before have left is taken back. Without an
    /// answer it may have been done, so it stays; what is unfinished then, retention takes away in an hour.
    ///
    /// - Parameters:
    ///   - old: the key that it is to replace.
    ///   - finish: the third step.
    func complete<Value: Sendable>(
        _ id: KeyID, _ hash: String, insteadOf old: KeyID? = nil,
        _ finish: () async throws(DirectoryError) -> Value
    ) async throws(DirectoryError) -> Value {
        var isPlaced = false
        do throws(DirectoryError) {
            let placed = try await redis.answer(
                .placePointer, keys: [names.credential(hash)], arguments: [RecordPointer(id).text])
            guard placed.first?.integer == 1 else { throw .unexpectedReply }
            isPlaced = true
            return try await finish()
        } catch {
            if error.isRefusal { await withdraw(id, isPlaced ? hash : nil, insteadOf: old) }
            throw error
        }
    }

    /// - Parameter hash: nil where it has no pointer.
    private func withdraw(_ id: KeyID, _ hash: String?, insteadOf old: KeyID?) async {
        do {
            try await redis.removeUnfinished(names, id, hash, insteadOf: old, after: 0)
        } catch {
            // Why it had to be is what the operator is told; retention will do it.
        }
    }
}

extension DirectoryError {
    /// Nothing was changed by what ended so.
    fileprivate var isRefusal: Bool {
        guard case .redis(let error) = self else { return true }
        return switch error {
        case .server, .unfit, .notConnected, .overloaded: true
        case .timeout, .connectionClosed, .protocolViolation, .shutdown: false
        }
    }
}

extension RedisClient {
    /// Takes away a key that nobody was shown, its pointer first.
    ///
    /// - Parameters:
    ///   - hash: nil where it has no pointer, or its record is gone already.
    ///   - old: the key that it was to replace.
    ///   - seconds: for how long it must have been unfinished.
    func removeUnfinished(
        _ names: Names, _ id: KeyID, _ hash: String?, insteadOf old: KeyID?, after seconds: Int
    ) async throws(DirectoryError) {
        if let hash { try await removePointer(names, to: id, from: hash) }
        let organization = id.organization.text
        _ = try await answer(
            .removeUnfinished,
            keys: [
                names.record(id), names.keys(organization), names.activeKeys(organization),
                names.unfinishedKeys(organization),
            ] + (old.map { [names.record($0)] } ?? []),
            arguments: [id.local, String(seconds)])
    }

    /// To be done before its record goes: a pointer that leads nowhere is lost data.
    func removePointer(_ names: Names, to id: KeyID, from hash: String) async throws(DirectoryError) {
        _ = try await answer(
            .removePointer, keys: [names.credential(hash)], arguments: [RecordPointer(id).text])
    }
}
