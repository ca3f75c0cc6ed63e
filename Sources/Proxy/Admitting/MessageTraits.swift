// SPDX-License-Identifier: Apache-2.0

import HTTP1
import MCP

/// What is known of a request on an `mcp` route besides its head: first what its fields say, then what its body does.
struct MessageTraits {
    /// Who reads them must not find two, or another spelling that becomes the same variable in a handler.
    private static let single: FieldSet = [.mcpProtocolVersion, .mcpSessionID, .mcpMethod, .mcpName]

    var era = Era.legacy
    /// As ``ProtocolVersion`` numbers it.
    private(set) var version = ProtocolVersion.none
    /// Value of `Mcp-Session-Id`.
    var session: [UInt8]?
    /// It has a session's id where there are no sessions: servers of that era ignore the field (SEP-2567), and an older one must
    /// not find there a session that nobody has looked up.
    var hasIdleSession = false
    /// Nil while the body isn't read, and where there is none that could be.
    var messages: Messages?
    /// Asks for no work: nobody pays, and who sends too much of it waits.
    var isFree = false
    /// A GET for events, which stay open.
    var asksForStream = false

    /// Why these fields can't be taken; nil where they can.
    static func flaw(of head: RequestHead) -> String? {
        for field in head.fields where Self.single.contains(field.foldedID) {
            let name = field.foldedID.name
            if field.id != field.foldedID { return "\(name) spelt with underscores" }
            if head.count(of: field.id) > 1 { return "\(name) given twice" }
        }
        return nil
    }

    /// Why its body isn't taken: what is encoded can't be read, and a handler that decodes it would read something else.
    static func unreadableEncoding(of head: RequestHead) -> Refusal? {
        // Each of several, and in every spelling: nobody knows which one a handler takes.
        for field in head.fields {
            switch field.foldedID {
            case .contentEncoding where !head.section.range(field.valueRange, equalsLowercased: identity):
                return .encodedMessage("Content-Encoding of an MCP message must be identity")
            case .contentType where !Charset.isUTF8(head.view(of: field.valueRange)):
                return .encodedMessage("MCP messages are UTF-8")
            default: break
            }
        }
        return nil
    }

    private static let identity = Array("identity".utf8)

    init(_ head: RequestHead, _ options: MessageOptions) {
        if let range = head.value(of: .mcpProtocolVersion) {
            era = Era(protocolVersion: head.view(of: range))
            version = ProtocolVersion.number(of: head.view(of: range))
        }
        if let id = head.value(of: .mcpSessionID) {
            hasIdleSession = era == .modern && options.bindsSessions
            if !hasIdleSession { session = head.octets(in: id) }
        }
        switch head.method {
        case .get:
            asksForStream = head.acceptsEventStream
            isFree = asksForStream
        // Free is the end of a session that is the caller's. What ends none is a call.
        case .delete: isFree = session != nil && options.bindsSessions
        case .post:
            // Handlers compare the fields from this version on; before it nobody does.
            guard options.trustsFields, era == .modern, let method = head.value(of: .mcpMethod),
                let message = Message(
                    mirroredMethod: head.octets(in: method), name: head.value(of: .mcpName).map(head.octets))
            else { return }
            messages = Messages([message])
            isFree = message.isFree
        case .head, .put, .patch, .options, .trace, .connect, .other: break
        }
    }

    mutating func read(_ messages: Messages) {
        self.messages = messages
        isFree = messages.areFree
    }
}
