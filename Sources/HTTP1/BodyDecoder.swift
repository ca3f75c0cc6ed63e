// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// What comes out of a body.
package enum BodyEvent: Sendable, Equatable {
    /// Part of the payload, never empty: a slice of the buffer that was read, not a copy.
    case payload(ByteBuffer)
    /// The body is over. Trailers are whole field lines, checked, without the empty line behind them; nil if there are none.
    case end(trailers: ByteBuffer?)
}

/// Takes a body out of its framing.
///
/// 1. Yields payload as it arrives, then the end, once; what follows in the buffer is left there.
/// 2. Refuses what two readers could frame differently: chunk lines and ends are CRLF exactly.
/// 3. Counts the payload against a limit, before it is yielded.
/// 4. Gives the same payload and the same verdict however the bytes were cut.
package struct BodyDecoder: Sendable {
    private enum State {
        /// So many bytes of payload are to come, then the end, or (`inChunk`) the end of a chunk.
        case payload(remaining: UInt64, inChunk: Bool)
        case untilClose
        case chunkLine(LineScanner)
        case chunkEnd
        case trailers(TrailerDecoder)
        case over
        case refused(BodyError)
    }

    private var state: State
    /// Payload that may still come.
    private var allowance: UInt64
    private let isRequest: Bool
    private let withheld: [FieldName]

    /// - Parameters:
    ///   - maxBytes: of payload; nil for no limit.
    ///   - isRequest: whether the names of trailers are also judged with `_` read as `-`, and by ``FieldSway``.
    ///   - withheld: trailers that are left out besides those known here.
    package init(
        framing: BodyFraming, maxBytes: UInt64? = nil, isRequest: Bool = true, withholding withheld: [FieldName] = []
    ) {
        self.withheld = withheld
        allowance = maxBytes ?? UInt64.max
        self.isRequest = isRequest
        switch framing {
        case .none: state = .payload(remaining: 0, inChunk: false)
        case .length(let length) where length > allowance: state = .refused(.tooLarge)
        case .length(let length): state = .payload(remaining: length, inChunk: false)
        case .chunked: state = .chunkLine(LineScanner())
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the end was yielded.
    package var isOver: Bool {
        if case .over = state { true } else { false }
    }

    /// The next event, taken from the front of `input`; nil if more bytes are needed, or after the end.
    ///
    /// A body without bytes ends on the first call. Once it has refused, it refuses for ever.
    package mutating func decode(_ input: inout ByteBuffer) throws(BodyError) -> BodyEvent? {
        do throws(BodyError) {
            return try step(&input)
        } catch {
            state = .refused(error)
            throw error
        }
    }

    /// The peer has ended its side and everything it sent was decoded.
    ///
    /// - Returns: the end of a body that goes up to the close; nil if the body was over before.
    /// - Throws: `truncated` if it is not whole.
    package mutating func finishAtEOF() throws(BodyError) -> BodyEvent? {
        switch state {
        case .over:
            return nil
        case .untilClose:
            state = .over
            return .end(trailers: nil)
        case .refused(let error):
            throw error
        case .payload, .chunkLine, .chunkEnd, .trailers:
            state = .refused(.truncated)
            throw .truncated
        }
    }

    private mutating func step(_ input: inout ByteBuffer) throws(BodyError) -> BodyEvent? {
        while true {
            switch state {
            case .payload(0, inChunk: false):
                state = .over
                return .end(trailers: nil)
            case .payload(0, inChunk: true):
                state = .chunkEnd
            case .payload(let remaining, let inChunk):
                return takePayload(&input, remaining: remaining, inChunk: inChunk)
            case .untilClose:
                return try takeEverything(&input)
            case .chunkLine(let lines):
                guard try takeChunkLine(&input, lines) else { return nil }
            case .chunkEnd:
                guard try takeChunkEnd(&input) else { return nil }
            case .trailers(var trailers):
                let section = try trailers.decode(&input, isRequest: isRequest)
                state = section == nil ? .trailers(trailers) : .over
                return section.map { .end(trailers: $0.readableBytes > 0 ? $0 : nil) }
            case .over:
                return nil
            case .refused(let error):
                throw error
            }
        }
    }

    private mutating func takePayload(_ input: inout ByteBuffer, remaining: UInt64, inChunk: Bool) -> BodyEvent? {
        let length = min(UInt64(input.readableBytes), remaining)
        guard length > 0, let slice = input.readSlice(length: Int(length)) else { return nil }
        state = .payload(remaining: remaining - length, inChunk: inChunk)
        return .payload(slice)
    }

    /// Yields up to the limit first, so that a body that is too long passes as much of it whole as cut.
    private mutating func takeEverything(_ input: inout ByteBuffer) throws(BodyError) -> BodyEvent? {
        let length = min(UInt64(input.readableBytes), allowance)
        guard length > 0, let slice = input.readSlice(length: Int(length)) else {
            if input.readableBytes > 0 { throw .tooLarge }
            return nil
        }
        allowance -= length
        return .payload(slice)
    }

    private mutating func takeChunkLine(_ input: inout ByteBuffer, _ lines: LineScanner) throws(BodyError) -> Bool {
        var lines = lines
        guard let size = try Self.chunkSize(input.readableBytesUInt8Span, &lines) else {
            state = .chunkLine(lines)
            return false
        }
        input.moveReaderIndex(forwardBy: lines.lineStart)
        if size == 0 {
            state = .trailers(TrailerDecoder(withholding: withheld))
        } else {
            guard size <= allowance else { throw .tooLarge }
            allowance -= size
            state = .payload(remaining: size, inChunk: true)
        }
        return true
    }

    private static func chunkSize(_ span: Span<UInt8>, _ lines: inout LineScanner) throws(BodyError) -> UInt64? {
        let line: Range<Int>?
        do {
            line = try lines.next(in: span, limit: ChunkLine.maximumLength)
        } catch {
            throw error == .tooLarge ? .chunkLineTooLong : .malformedChunkSize
        }
        return if let line { try ChunkLine.size(line, of: span) } else { nil }
    }

    private mutating func takeChunkEnd(_ input: inout ByteBuffer) throws(BodyError) -> Bool {
        guard let first = input.getInteger(at: input.readerIndex, as: UInt8.self) else { return false }
        guard first == Octet.carriageReturn else { throw .missingChunkEnd }
        guard let second = input.getInteger(at: input.readerIndex + 1, as: UInt8.self) else { return false }
        guard second == Octet.lineFeed else { throw .missingChunkEnd }
        input.moveReaderIndex(forwardBy: 2)
        state = .chunkLine(LineScanner())
        return true
    }
}
