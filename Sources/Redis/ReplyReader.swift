// SPDX-License-Identifier: Apache-2.0

import CHiredis
import NIOCore

/// hiredis' reader, and with it all the `unsafe` of this project but the call of one clock.
///
/// It is fed what the socket gave and yields whole replies, copied out of hiredis' tree at once; most of what
/// scripts answer needn't go there (``PlainReply``). It lives and dies with its connection: an error leaves it unusable. hiredis
/// 0.14 and 1.x both serve; RESP3 is never asked for.
///
/// Where hiredis believes what it reads, this is stricter:
/// 1. No more elements than fit into the bytes of a reply: for `*2147483647` hiredis 0.14 makes room for all of them at once
///    and takes 5 s to give it back.
/// 2. No array within more than ``deepest`` others: 0.14 has that bound, 1.x none, and its trees are freed by recursion.
/// 3. A bulk string ends in CRLF: hiredis skips two bytes, whatever they are, and is out of step from there on.
@safe final class ReplyReader {
    /// What the object functions need; they are C functions and capture nothing.
    private struct Bounds {
        let original: redisReplyObjectFunctions
        let mostElements: Int
        var refusal: StaticString?
    }

    /// `:0` and CRLF. No element of an array is shorter.
    private static let shortestElement = 4

    /// Arrays around an array.
    private static let deepest = 6

    private let reader: UnsafeMutablePointer<redisReader>
    private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>
    private let bounds: UnsafeMutablePointer<Bounds>
    private let longestReply: Int
    private var fedSinceReply = 0
    /// Hasn't been given to hiredis, which has nothing else while there is any.
    private var unread = ByteBuffer()

    /// - Parameter longestReply: bytes that may be fed without completing a reply.
    init(longestReply: Int) {
        guard let created = unsafe redisReaderCreate() else {
            preconditionFailure("hiredis has no memory for a reader")
        }
        unsafe reader = created
        self.longestReply = longestReply
        unsafe bounds = .allocate(capacity: 1)
        unsafe functions = .allocate(capacity: 1)
        unsafe bounds.initialize(
            to: Bounds(
                original: created.pointee.fn.pointee, mostElements: longestReply / Self.shortestElement, refusal: nil))
        unsafe functions.initialize(to: created.pointee.fn.pointee)
        unsafe functions.pointee.createArray = { task, count in
            guard let bounds = unsafe task?.pointee.privdata?.assumingMemoryBound(to: Bounds.self) else { return nil }
            guard unsafe task?.pointee.type == REDIS_REPLY_ARRAY else {
                unsafe bounds.pointee.refusal = "Protocol error, RESP3 that was not asked for"
                return nil
            }
            guard unsafe count <= bounds.pointee.mostElements else {
                unsafe bounds.pointee.refusal = "Protocol error, array of more elements than a reply can hold"
                return nil
            }
            guard unsafe ReplyReader.depth(of: task) <= ReplyReader.deepest else {
                unsafe bounds.pointee.refusal = "Protocol error, arrays nested too deep"
                return nil
            }
            return unsafe bounds.pointee.original.createArray(task, count)
        }
        unsafe functions.pointee.createString = { task, text, length in
            guard let bounds = unsafe task?.pointee.privdata?.assumingMemoryBound(to: Bounds.self) else { return nil }
            // hiredis calls only when what lies behind the text, the place of its CRLF, has come too.
            let (cr, lf) = (CChar(bitPattern: 0x0D), CChar(bitPattern: 0x0A))
            guard let text = unsafe text, unsafe text[length] == cr, unsafe text[length + 1] == lf else {
                unsafe bounds.pointee.refusal = "Protocol error, string that doesn't end where it said"
                return nil
            }
            return unsafe bounds.pointee.original.createString(task, text, length)
        }
        unsafe reader.pointee.fn = functions
        unsafe reader.pointee.privdata = UnsafeMutableRawPointer(bounds)
    }

    deinit {
        unsafe redisReaderFree(reader)
        unsafe functions.deallocate()
        unsafe bounds.deallocate()
    }

    func feed(_ buffer: ByteBuffer) throws(RedisError) {
        fedSinceReply += buffer.readableBytes
        guard holdsNothing, unread.readableBytes == 0 else {
            try hand(unread)
            unread = ByteBuffer()
            return try hand(buffer)
        }
        unread = buffer
    }

    /// hiredis has no octet of a reply that it hasn't given.
    private var holdsNothing: Bool {
        unsafe reader.pointee.ridx == -1 && reader.pointee.pos == reader.pointee.len && reader.pointee.err == 0
    }

    /// Gives octets to hiredis.
    private func hand(_ buffer: ByteBuffer) throws(RedisError) {
        guard buffer.readableBytes > 0 else { return }
        let status = unsafe buffer.withUnsafeReadableBytes { bytes in
            unsafe redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard status == REDIS_OK else { throw failure }
    }

    /// - Returns: the next whole reply, nil until more is fed.
    func next() throws(RedisError) -> RedisReply? {
        if unread.readableBytes > 0 {
            if let reply = PlainReply.next(in: &unread, mostElements: longestReply / Self.shortestElement) {
                fedSinceReply = 0
                return reply
            }
            try hand(unread)
        }
        // Its storage is the channel's to read into again.
        unread = ByteBuffer()
        // Asked for a reply without an octet of one it would begin one, and be at rest no more.
        guard !holdsNothing else { return nil }
        var reply: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &reply) == REDIS_OK else { throw failure }
        guard let reply = unsafe reply else {
            guard fedSinceReply <= longestReply else {
                throw .protocolViolation("no whole reply within \(longestReply) bytes")
            }
            return nil
        }
        defer { unsafe freeReplyObject(reply) }
        fedSinceReply = 0
        return try unsafe Self.copy(reply.assumingMemoryBound(to: redisReply.self))
    }

    private var failure: RedisError {
        if let refusal = unsafe bounds.pointee.refusal { return .protocolViolation("\(refusal)") }
        let text = unsafe withUnsafeBytes(of: &reader.pointee.errstr) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return .protocolViolation(text)
    }

    private static func depth(of task: UnsafePointer<redisReadTask>?) -> Int {
        var depth = 0
        var parent = unsafe task?.pointee.parent
        while let task = unsafe parent {
            depth += 1
            unsafe parent = task.pointee.parent
        }
        return depth
    }

    /// Recursive, at most as deep as arrays may be nested.
    private static func copy(_ reply: UnsafeMutablePointer<redisReply>) throws(RedisError) -> RedisReply {
        switch unsafe reply.pointee.type {
        case REDIS_REPLY_NIL: return .null
        case REDIS_REPLY_INTEGER: return unsafe .integer(Int64(reply.pointee.integer))
        case REDIS_REPLY_STRING: return unsafe .bytes(Array(text(reply)))
        case REDIS_REPLY_STATUS: return unsafe .status(String(decoding: text(reply), as: UTF8.self))
        case REDIS_REPLY_ERROR: return unsafe .error(String(decoding: text(reply), as: UTF8.self))
        case REDIS_REPLY_ARRAY:
            var elements: [RedisReply] = []
            let count = unsafe Int(reply.pointee.elements)
            elements.reserveCapacity(count)
            for index in 0..<count {
                guard let element = unsafe reply.pointee.element[index] else {
                    throw .protocolViolation("array without element \(index)")
                }
                elements.append(try unsafe copy(element))
            }
            return .array(elements)
        default:
            throw .protocolViolation("reply type \(unsafe reply.pointee.type) was not asked for")
        }
    }

    private static func text(_ reply: UnsafeMutablePointer<redisReply>) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: reply.pointee.str, count: Int(reply.pointee.len))
    }
}
