// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Octets

/// Reads response heads from a buffer that grows, as strictly as request heads where framing is concerned.
///
/// What handlers do in earnest passes: no reason phrase, obs-text, a repeated identical Content-Length. (Whoever forwards
/// the head writes that field once.)
package struct ResponseHeadParser: Sendable {
    private enum Stage {
        case statusLine
        case fields
        case refused(HeadError)
    }

    private let limits: HeadLimits
    private var stage: Stage = .statusLine
    private var lines = LineScanner()
    private var message = MessageFraming()

    package init(limits: HeadLimits = HeadLimits()) {
        self.limits = limits
    }

    /// Goes on with the head at the front of `input`, filling `head`, as the answer to a request of that method.
    ///
    /// Until it has answered true, the caller must neither take anything from `input` nor use or reset `head`. Not for
    /// answers to CONNECT, whose framing differs.
    /// - Returns: false if more bytes are needed; true when the head is whole, taken from `input` and in `head.bytes`.
    package mutating func parse(
        _ input: inout ByteBuffer, answering method: Method, into head: inout ResponseHead
    ) throws(HeadError) -> Bool {
        if case .refused(let error) = stage { throw error }
        do throws(HeadError) {
            guard try scan(input.readableBytesUInt8Span, answering: method, into: &head) else { return false }
        } catch {
            stage = .refused(error)
            head.reset()
            throw error
        }
        guard let bytes = input.readSlice(length: lines.lineStart) else {
            preconditionFailure("Cannot take a head from a buffer that was read from while it was parsed")
        }
        head.section.bytes = bytes
        self = ResponseHeadParser(limits: limits)
        return true
    }

    private mutating func scan(
        _ span: Span<UInt8>, answering method: Method, into head: inout ResponseHead
    ) throws(HeadError) -> Bool {
        while let line = try lines.next(in: span, limit: limits.bytes) {
            if case .statusLine = stage {
                head.reset()
                try Self.takeStatusLine(line, of: span, into: &head)
                stage = .fields
            } else if line.isEmpty {
                try finish(&head, answering: method)
                return true
            } else {
                let field = try head.section.appendLine(line, of: span, folds: false, limit: limits.fields)
                try message.take(field, of: span, isRequest: false, connection: &head.section.connection)
            }
        }
        return false
    }

    /// RFC 9112 §6.3.
    private func finish(_ head: inout ResponseHead, answering method: Method) throws(HeadError) {
        let told = try message.framing(version: head.version)
        let isBodiless = method == .head || head.status < 200 || head.status == 204 || head.status == 304
        head.framing = isBodiless ? .none : told ?? .untilClose
        let connection = head.section.connection
        // What has no body may announce one (RFC 9110 §9.3.2), and handlers there are that send it: waitress 3 after HEAD.
        let isCleanAfterwards = !isBodiless || told == nil || told == .length(0)
        head.keepsAlive =
            !connection.close && head.framing != .untilClose && isCleanAfterwards
            && (head.version == .http11 || connection.keepAlive)
    }

    /// `HTTP/1.x SP 3DIGIT [SP reason]` (RFC 9112 §4).
    private static func takeStatusLine(
        _ line: Range<Int>, of span: Span<UInt8>, into head: inout ResponseHead
    ) throws(HeadError) {
        let start = line.lowerBound
        let afterVersion = start + HTTPVersionNumber.length
        guard line.upperBound >= afterVersion,
            let version = HTTPVersionNumber(start..<afterVersion, of: span)
        else { throw .malformedStatusLine }
        guard version.major == 1, version.minor <= 1 else { throw .unsupportedVersion }
        head.version = version.minor == 1 ? .http11 : .http10

        let afterStatus = afterVersion + 4
        guard line.upperBound >= afterStatus, span[afterVersion] == Octet.space else { throw .malformedStatusLine }
        for position in (afterVersion + 1)..<afterStatus {
            guard span[position].isDigit else { throw .malformedStatusLine }
            head.status = head.status * 10 + Int(span[position] &- 0x30)
        }
        guard head.status >= 100 else { throw .malformedStatusLine }
        guard line.upperBound > afterStatus else {
            head.reasonRange = afterStatus..<afterStatus
            return
        }
        guard span[afterStatus] == Octet.space else { throw .malformedStatusLine }
        head.reasonRange = (afterStatus + 1)..<line.upperBound
        for position in head.reasonRange where Octet.isControl(span[position]) { throw .malformedStatusLine }
    }
}
