// SPDX-License-Identifier: Apache-2.0

/// What one JSON-RPC message says, as far as it decides who pays for it and how it is refused.
package struct Message: Sendable, Hashable {
    package enum Kind: Sendable, Hashable {
        /// Has a `method` and an `id` member.
        case request
        /// Has a `method` and no `id` member.
        case notification
        /// Has a `result` or an `error`, and no `method`.
        case response
        /// Anything else: both `result` and `error`, neither, no object at all.
        case other
    }

    /// What a request names: `params.name` of `tools/call` and `prompts/get`, `params.uri` of `resources/*`.
    package enum Target: Sendable, Hashable {
        /// Nil where the name is missing, or no string.
        case tool([UInt8]?)
        case prompt([UInt8]?)
        case resource([UInt8]?)
    }

    /// Octets of a method, name, URI or id. Longer ones are refused.
    package static let longestText = 4096

    package var kind: Kind
    /// Unescaped; nil where there is none, or it is no string.
    package var method: [UInt8]?
    /// As written, where it is a string or a number.
    package var id: [UInt8]?
    package var hasID: Bool
    package var target: Target?

    package init(
        kind: Kind, method: [UInt8]? = nil, id: [UInt8]? = nil, hasID: Bool? = nil, target: Target? = nil
    ) {
        self.kind = kind
        self.method = method
        self.id = id
        self.hasID = hasID ?? (id != nil)
        self.target = target
    }
}

extension Message.Target {
    /// Nil for methods that name nothing.
    init?(of method: [UInt8], name: [UInt8]?, uri: [UInt8]?) {
        switch String(decoding: method, as: UTF8.self) {
        case "tools/call": self = .tool(name)
        case "prompts/get": self = .prompt(name)
        case "resources/read", "resources/subscribe", "resources/unsubscribe": self = .resource(uri)
        default: return nil
        }
    }
}

extension Message {
    package func isMethod(_ name: StaticString) -> Bool {
        guard let method, method.count == name.utf8CodeUnitCount else { return false }
        return method.elementsEqual(name.description.utf8)
    }

    var isInitialize: Bool { isMethod("initialize") }

    /// The first words of a session, or of a client that has none: counted apart, so that who is over a limit can connect.
    package var isHandshake: Bool { isInitialize || isMethod("server/discover") }

    /// What asks for no work: answers to the server, notices, and what has no method to be run.
    package var isFree: Bool {
        switch kind {
        case .request: false
        case .notification: method?.starts(with: Array("notifications/".utf8)) == true
        case .response: true
        case .other: false
        }
    }
}

/// What the body of a POST holds.
package struct Messages: Sendable, Hashable {
    /// An array of messages (2025-03-26), even of one.
    package var isBatch: Bool
    package var messages: [Message]

    package init(isBatch: Bool = false, _ messages: [Message]) {
        self.isBatch = isBatch
        self.messages = messages
    }
}

extension Messages {
    /// Nothing in it asks for work.
    package var areFree: Bool { messages.allSatisfy(\.isFree) }
}
