// SPDX-License-Identifier: Apache-2.0

import Keyspace
import NIOCore
import Redis

/// Whose an MCP session is: the key that opened it, through all its rotations.
package struct SessionOwner: Sendable, Equatable {
    /// Nil for callers without a key, who share theirs among each other.
    let organization: String?
    let subject: String

    package static let anybody = SessionOwner(organization: nil, subject: "-")

    init(organization: String?, subject: String) {
        self.organization = organization
        self.subject = subject
    }

    init(of entry: KeyEntry) {
        self.init(organization: entry.pointer.organization, subject: entry.record.subject)
    }
}

/// A session with who has to own it.
struct BoundSession {
    let name: String
    let subject: String
}

extension Gate {
    /// What the script is to ask about the session that a request names.
    func sessionQuestion(_ ask: Ask, _ intent: Intent) -> BoundSession? {
        guard let id = ask.request.session, case .grant(let entry) = intent else { return nil }
        let owner = entry.map(SessionOwner.init) ?? .anybody
        return BoundSession(name: names.session(SessionHash(of: id), of: owner.organization), subject: owner.subject)
    }

    /// Gives a session to its owner, for 24 hours from its last use. Without Redis it stays nobody's, and who names it will
    /// have to open another.
    package func bind(_ session: [UInt8], to owner: SessionOwner, _ done: @escaping () -> Void) {
        setSession(session, of: owner, to: owner.subject, done)
    }

    /// Ends a session.
    package func unbind(_ session: [UInt8], from owner: SessionOwner, _ done: @escaping () -> Void) {
        setSession(session, of: owner, to: "", done)
    }

    private func setSession(_ id: [UInt8], of owner: SessionOwner, to subject: String, _ done: @escaping () -> Void) {
        guard outage == nil else { return done() }
        var call = RedisCommand(Self.sessionScript, keyCount: 1)
        call.append(names.session(SessionHash(of: id), of: owner.organization))
        call.append(subject)
        send(call, before: eventLoop.now + configuration.timeout) { result in
            _ = self.heard(result, of: Self.sessionScript)
            done()
        }
    }
}
