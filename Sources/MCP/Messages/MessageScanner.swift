// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Reads the body of a POST as it comes and says what messages it holds.
///
/// 1. Slices may be cut anywhere; none is kept.
/// 2. What could be read as another message than the one reported is refused (``MessageFlaw``).
/// 3. What is no JSON may still be the handler's to answer: ``Outcome/unreadable(_:mayBeBatch:)``.
package struct MessageScanner {
    package enum Outcome: Sendable, Hashable {
        case messages(Messages)
        /// No strict JSON.
        ///
        /// - mayBeBatch: a lenient reader could find many messages in it: an array, or text in another encoding.
        case unreadable(JSONFlaw, mayBeBatch: Bool)
        case refused(MessageFlaw)
    }

    /// In one batch.
    package static let mostMessages = 1024

    private var scanner = JSONScanner(MessageVisitor())
    private var failure: Outcome?
    /// The first octet that is no white space.
    private var first: UInt8?

    package init() {}

    package mutating func scan(_ slice: ByteBuffer) {
        if first == nil {
            first = slice.readableBytesView.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
        }
        guard failure == nil else { return }
        do throws(JSONScanner<MessageVisitor>.Failure) { try scanner.scan(slice) } catch { fail(error) }
    }

    /// The body has ended.
    package mutating func finish() -> Outcome {
        if failure == nil {
            do throws(JSONScanner<MessageVisitor>.Failure) { try scanner.finish() } catch { fail(error) }
        }
        return failure ?? .messages(scanner.visitor.found)
    }

    private mutating func fail(_ error: JSONScanner<MessageVisitor>.Failure) {
        switch error {
        case .flaw(let flaw): failure = .unreadable(flaw, mayBeBatch: mayBeBatch)
        case .refused(let flaw): failure = .refused(flaw)
        }
    }

    /// Readers there are that take `[NaN]`, a byte order mark, UTF-16, and comments before the text. Only what begins as an
    /// object, a string, a number, a word or XML is sure to be one message at most.
    private var mayBeBatch: Bool {
        guard let first else { return false }
        return switch first {
        case UInt8(ascii: "{"), UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: "-"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            false
        default: true
        }
    }
}

/// Puts the messages together from what the text consists of.
struct MessageVisitor: JSONVisitor {
    private(set) var found = Messages([])

    private var depth = 0
    /// Of the object that is the message under way; 0 between messages.
    private var messageDepth = 0
    /// Whether the innermost open container is the `params` object of the message.
    private var isInParameters: Bool { messageDepth > 0 && depth == messageDepth + 1 && parametersAreOpen }
    private var parametersAreOpen = false
    private var isInMessage: Bool { messageDepth > 0 && depth == messageDepth }
    /// The member whose value comes next, where it is of interest.
    private var member: MemberName?
    private var draft = Draft()

    /// One message so far.
    fileprivate struct Draft {
        var seen = MemberNames()
        /// A name in `params` that a reader which folds letters would take for this one.
        var misspelt: MemberName?
        var method: [UInt8]?
        var id: [UInt8]?
        var name: [UInt8]?
        var uri: [UInt8]?
    }

    // MARK: Containers

    mutating func begin(_ container: JSONContainer, at offset: Int) throws(MessageFlaw) {
        let isMember = isInMessage && member == .params && container == .object
        depth += 1
        if messageDepth == 0 {
            switch (container, depth) {
            case (.array, 1): found.isBatch = true
            case (.array, _): throw .nestedBatch
            case (.object, _):
                messageDepth = depth
                draft = Draft()
            }
        } else if isMember {
            parametersAreOpen = true
        }
        member = nil
    }

    mutating func end(_ container: JSONContainer, at end: Int) throws(MessageFlaw) {
        if isInMessage {
            try add(try draft.message())
            messageDepth = 0
        } else if isInParameters {
            parametersAreOpen = false
        }
        depth -= 1
    }

    private mutating func add(_ message: Message) throws(MessageFlaw) {
        guard found.messages.count < MessageScanner.mostMessages else {
            throw .tooManyMessages(most: MessageScanner.mostMessages)
        }
        found.messages.append(message)
    }

    // MARK: Names

    mutating func captureOfName() -> JSONCapture { isInMessage || isInParameters ? .text : .none }

    mutating func name(_ name: [UInt8]?) throws(MessageFlaw) {
        member = nil
        guard let name else { return }
        let isParameter = isInParameters
        switch MemberName.likeness(name, among: isParameter ? MemberName.ofParameters : MemberName.ofMessages) {
        case nil: break
        case .exact(let known)?:
            guard draft.seen.insert(known) else { throw .duplicate(known) }
            member = known
        case .folded(let known)?:
            // Other methods may have parameters of any name.
            guard isParameter else { throw .misspelt(known) }
            draft.misspelt = draft.misspelt ?? known
        }
    }

    // MARK: Scalars

    mutating func captureOfScalar(_ kind: JSONScalar, at offset: Int) -> JSONCapture {
        guard let member else { return .none }
        return switch (member, kind) {
        case (.method, .string), (.name, .string), (.uri, .string): .text
        case (.id, .string), (.id, .number): .raw
        default: .none
        }
    }

    mutating func scalar(_ kind: JSONScalar, _ text: [UInt8]?) throws(MessageFlaw) {
        if messageDepth == 0 { return try add(Message(kind: .other)) }
        guard let member else { return }
        self.member = nil
        guard let text else { return }
        switch member {
        case .method: draft.method = text
        case .id: draft.id = text
        case .name: draft.name = text
        case .uri: draft.uri = text
        case .jsonrpc, .params, .result, .error: break
        }
    }
}

extension MessageVisitor.Draft {
    fileprivate func message() throws(MessageFlaw) -> Message {
        let answers = seen.contains(.result) || seen.contains(.error)
        let hasID = seen.contains(.id)
        if seen.contains(.method) {
            if answers { throw .requestAndResponse }
            var message = Message(kind: hasID ? .request : .notification, method: method, id: id, hasID: hasID)
            message.target = method.flatMap { Message.Target(of: $0, name: name, uri: uri) }
            if let misspelt, message.target != nil { throw .misspelt(misspelt) }
            // A method that is no string is nobody's; it counts as whatever the handler makes of it.
            if method == nil { message.kind = .other }
            return message
        }
        let isAnswer = seen.contains(.result) != seen.contains(.error) || (hasID && !answers)
        return Message(kind: isAnswer ? .response : .other, id: id, hasID: hasID)
    }
}
