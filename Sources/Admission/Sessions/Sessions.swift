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
}

/// A session with who has to own it.
struct BoundSession {
    let name: String
    let subject: String

    /// What the script is to ask about the session that a request names; nil where it names none, or is refused anyway.
    init?(_ id: [UInt8]?, _ intent: Intent, of caller: KeyEntry?, _ names: Names) {
        guard let id, case .grant = intent else { return nil }
        let owner = caller?.rights.owner ?? .anybody
        name = names.session(SessionHash(of: id), of: owner.organization)
        subject = owner.subject
    }
}

/// Which caller an MCP session belongs to, as Redis knows it.
struct Sessions {
    private let store: Store

    init(on store: Store) {
        self.store = store
    }

    /// Gives a session to its owner, for 24 hours from its last use. Without Redis it stays nobody's, and who names it will
    /// have to open another.
    func bind(_ session: [UInt8], to owner: SessionOwner, _ done: @escaping () -> Void) {
        set(session, of: owner, to: owner.subject, done)
    }

    /// Ends a session.
    func unbind(_ session: [UInt8], from owner: SessionOwner, _ done: @escaping () -> Void) {
        set(session, of: owner, to: "", done)
    }

    private func set(_ id: [UInt8], of owner: SessionOwner, to subject: String, _ done: @escaping () -> Void) {
        var call = RedisCommand(RedisScript.session, keyCount: 1)
        call.append(store.names.session(SessionHash(of: id), of: owner.organization))
        call.append(subject)
        let link = store.link(of: call)
        guard link.outage == nil else { return done() }
        // A second time it changes nothing.
        link.ask(call, before: link.eventLoop.now + link.timeout) { result in
            _ = link.hear(result, of: RedisScript.session)
            done()
        }
    }
}
