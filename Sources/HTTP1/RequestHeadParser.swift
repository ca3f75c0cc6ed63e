// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// Reads request heads from a buffer that grows.
///
/// 1. Judges line by line, each when it is complete: the same bytes get the same verdict, however they were cut.
/// 2. Takes nothing from the buffer but a few empty lines before a head (RFC 9112 §2.2) and, at its end, the head.
/// 3. Once it has refused, it refuses for ever: nobody can know where a next request would begin.
package struct RequestHeadParser: Sendable {
    private enum Stage {
        /// So many empty lines were skipped.
        case start(emptyLines: Int)
        case requestLine
        case fields
        case refused(HeadError)
    }

    private let limits: HeadLimits
    private var stage: Stage = .start(emptyLines: 0)
    private var lines = LineScanner()
    private var message = MessageFraming()
    private var host: Range<Int>?
    private var authority: Range<Int>?
    private var expectation: Range<Int>?

    /// Clients there are that put one or two behind a body; who sends more than this sends nothing else.
    private static let maximumEmptyLines = 8

    package init(limits: HeadLimits = HeadLimits()) {
        self.limits = limits
    }

    /// Part of a head has been taken: the next call has to be given the same `head`.
    package var isInHead: Bool {
        switch stage {
        case .start: false
        case .requestLine, .fields, .refused: true
        }
    }

    /// Goes on with the head at the front of `input`, filling `head`.
    ///
    /// Until it has answered true, the caller must neither take anything from `input` nor use or reset `head`.
    /// - Returns: false if more bytes are needed; true when the head is whole, taken from `input` and in `head.bytes`.
    package mutating func parse(_ input: inout ByteBuffer, into head: inout RequestHead) throws(HeadError) -> Bool {
        do throws(HeadError) {
            guard try begin(&input, &head), try scan(input.readableBytesUInt8Span, into: &head) else { return false }
        } catch {
            stage = .refused(error)
            head.reset()
            throw error
        }
        guard let bytes = input.readSlice(length: lines.lineStart) else {
            preconditionFailure("Cannot take a head from a buffer that was read from while it was parsed")
        }
        head.section.bytes = bytes
        self = RequestHeadParser(limits: limits)
        return true
    }

    /// Skips empty lines and refuses at the first octet what can't be a request, a TLS handshake say.
    private mutating func begin(_ input: inout ByteBuffer, _ head: inout RequestHead) throws(HeadError) -> Bool {
        while true {
            let emptyLines: Int
            switch stage {
            case .refused(let error): throw error
            case .requestLine, .fields: return true
            case .start(let skipped): emptyLines = skipped
            }
            guard let first = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return false }
            guard first == Octet.carriageReturn else {
                guard first != Octet.lineFeed else { throw .bareLineFeed }
                guard Octet.isToken(first) else { throw .malformedMethod }
                head.reset()
                stage = .requestLine
                return true
            }
            guard emptyLines < Self.maximumEmptyLines else { throw .malformedRequestLine }
            guard let second = input.getInteger(at: input.readerIndex + 1, as: UInt8.self) else { return false }
            guard second == Octet.lineFeed else { throw .bareCarriageReturn }
            input.moveReaderIndex(forwardBy: 2)
            stage = .start(emptyLines: emptyLines + 1)
        }
    }

    private mutating func scan(_ span: Span<UInt8>, into head: inout RequestHead) throws(HeadError) -> Bool {
        while let line = try lines.next(in: span, limit: limits.bytes) {
            if case .requestLine = stage {
                try takeRequestLine(line, of: span, into: &head)
                stage = .fields
            } else if line.isEmpty {
                try finish(&head, of: span)
                return true
            } else {
                try takeField(line, of: span, into: &head)
            }
        }
        return false
    }

    private mutating func takeField(
        _ line: Range<Int>, of span: Span<UInt8>, into head: inout RequestHead
    ) throws(HeadError) {
        let field = try head.section.appendLine(line, of: span, folds: true, limit: limits.fields)
        switch field.id {
        case .host:
            guard host == nil else { throw .repeatedHost }
            guard Authority.isValid(field.valueRange, of: span) else { throw .malformedHost }
            host = field.valueRange
        case .expect:
            expectation = expectation ?? field.valueRange
        default:
            try message.take(field, of: span, isRequest: true, connection: &head.section.connection)
        }
    }

    private func isSame(_ host: Range<Int>, _ authority: Range<Int>, in span: Span<UInt8>) -> Bool {
        span.equalIgnoringCase(
            Authority.withoutEmptyPort(host, of: span), Authority.withoutEmptyPort(authority, of: span))
    }

    private mutating func finish(_ head: inout RequestHead, of span: Span<UInt8>) throws(HeadError) {
        if let host {
            // RFC 9112 §3.2.2 lets the target win over Host. Two names for one request are two opinions on who is asked.
            if let authority, !isSame(host, authority, in: span) { throw .hostMismatch }
            head.host = Authority.withoutEmptyPort(host, of: span)
        } else if head.version == .http11 {
            throw .missingHost
        }
        head.framing = try message.framing(version: head.version) ?? .none
        let connection = head.section.connection
        head.keepsAlive = !connection.close && (head.version == .http11 || connection.keepAlive)
        if head.version == .http11, head.framing != .none, head.framing != .length(0), let expectation {
            head.expectsContinue = span.holds("100-continue", at: expectation, ignoringCase: true)
        }
    }
}

// MARK: - The request line

extension RequestHeadParser {
    /// `method SP target SP HTTP/1.x`, single spaces, nothing else (RFC 9112 §3).
    private mutating func takeRequestLine(
        _ line: Range<Int>, of span: Span<UInt8>, into head: inout RequestHead
    ) throws(HeadError) {
        var position = span.endOfToken(in: line)
        let method = line.lowerBound..<position
        guard !method.isEmpty, method.count <= Method.maximumLength else { throw .malformedMethod }
        guard position < line.upperBound else { throw .malformedRequestLine }
        guard span[position] == Octet.space else { throw .malformedMethod }

        position += 1
        let start = position
        position = span.firstInvisible(or: UInt8(ascii: "#"), from: start, upTo: line.upperBound)
        guard position < line.upperBound, position > start else { throw .malformedRequestLine }
        guard span[position] == Octet.space else { throw .malformedTarget }
        let target = start..<position

        head.method = Method(method, of: span)
        head.methodRange = method
        head.targetRange = target
        head.version = try version((position + 1)..<line.upperBound, of: span, head)
        let parsed = try TargetParts(target, of: span, method: head.method)
        head.targetForm = parsed.form
        head.pathRange = parsed.path
        authority = parsed.authority
    }

    private func version(
        _ range: Range<Int>, of span: Span<UInt8>, _ head: RequestHead
    ) throws(HeadError) -> HTTPVersion {
        guard let version = HTTPVersionNumber(range, of: span) else { throw .malformedRequestLine }
        switch (version.major, version.minor) {
        case (1, 1): return .http11
        case (1, 0): return .http10
        case (2, 0) where span.holds("PRI", at: head.methodRange) && span.holds("*", at: head.targetRange):
            throw .http2Preface
        default: throw .unsupportedVersion
        }
    }
}
