// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import NIOHTTP1

@testable import FuzzSubjects

/// A message as llhttp reads it, behind NIOHTTP1's decoder.
struct Llhttp {
    /// Method and target, or the status; the reason phrase is NIOHTTP1's own.
    private(set) var start: [String] = []
    private(set) var version = ""
    private(set) var fields: [[String]] = []
    private(set) var body: [UInt8] = []
    private(set) var trailers: [[String]] = []
    private(set) var isOver = false

    /// The first message; nil if it was refused.
    static func request(_ octets: [UInt8]) throws -> Llhttp? {
        let channel = EmbeddedChannel()
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        return try read(octets, endsThere: false, from: channel) { (part: HTTPServerRequestPart, message) in
            switch part {
            case .head(let head): message.begin([head.method.rawValue, head.uri], head.version, head.headers)
            case .body(let part): message.body += part.readableBytesView
            case .end(let trailers): message.end(trailers)
            }
        }
    }

    /// The first message; nil if it was refused.
    static func response(_ octets: [UInt8], to method: HTTPMethod, endsThere: Bool) throws -> Llhttp? {
        let channel = EmbeddedChannel()
        let decoder = HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .forward)
        try channel.pipeline.syncOperations.addHandler(ByteToMessageHandler(decoder))
        // The decoder learns the method from the request that passes it on its way out.
        try channel.writeOutbound(
            HTTPClientRequestPart.head(HTTPRequestHead(version: .http1_1, method: method, uri: "/")))
        return try read(octets, endsThere: endsThere, from: channel) { (part: HTTPClientResponsePart, message) in
            switch part {
            case .head(let head):
                message.begin(["\(head.status.code)"], head.version, head.headers)
                // An informational head is handed out alone.
                if head.status.code < 200 { message.end(nil) }
            case .body(let part): message.body += part.readableBytesView
            case .end(let trailers): message.end(trailers)
            }
        }
    }

    private static func read<Part>(
        _ octets: [UInt8], endsThere: Bool, from channel: EmbeddedChannel, take: (Part, inout Llhttp) -> Void
    ) throws -> Llhttp? {
        var message = Llhttp()
        var isRefused = false
        do {
            try channel.writeInbound(ByteBuffer(bytes: octets))
            if endsThere { _ = try channel.finish() }
        } catch {
            isRefused = true
        }
        while !message.isOver, let part = try channel.readInbound(as: Part.self) { take(part, &message) }
        return isRefused && !message.isOver ? nil : message
    }

    private mutating func begin(_ start: [String], _ version: HTTPVersion, _ fields: HTTPHeaders) {
        self.start = start
        self.version = "\(version.major).\(version.minor)"
        self.fields = Self.plain(fields)
    }

    private mutating func end(_ trailers: HTTPHeaders?) {
        self.trailers = Self.plain(trailers ?? [:])
        isOver = true
    }

    /// NIOHTTP1 leaves blanks behind values.
    private static func plain(_ fields: HTTPHeaders) -> [[String]] {
        fields.map { field in
            let value = field.value.utf8.reversed().drop { $0 == 0x20 || $0 == 0x09 }.reversed()
            return [field.name, String(decoding: value, as: UTF8.self)]
        }
    }
}

extension Llhttp {
    /// Whether llhttp can read such a head at all: its list of methods is closed.
    static func knows(_ head: Reading.Head) -> Bool {
        if case .RAW = HTTPMethod(rawValue: head.start[0]) { false } else { true }
    }

    /// Whether there is something that the grammar allows and llhttp refuses, or frames otherwise, as the table's exceptions tell:
    /// a tab at the end of a field, and blanks in a chunk's line.
    static func isStricter(about octets: [UInt8]) -> Bool {
        latin1(octets).split(separator: "\r\n").contains { line in
            let isChunk = line.drop(while: \.isHexDigit).drop { " \t".contains($0) }.first == ";"
            return line.reversed().prefix { " \t".contains($0) }.contains("\t")
                || isChunk && line.contains { " \t".contains($0) }
        }
    }

    /// Whether it is the message that ours is. Trailers may be fewer in ours.
    func isAlike(_ ours: Reading, start: [String]) -> Bool {
        guard let head = ours.head, isOver else { return false }
        let kept = ours.trailers.split(separator: "\r\n").map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.map { text(String($0)).trimmed }
        }
        return self.start == start.map(text) && version == head.version
            && fields == head.fields.map { $0.map(text) }
            && body == latin1(ours.payload)
            && kept.allSatisfy(trailers.contains)
    }

    /// NIOHTTP1 has Strings for octets: what is no UTF-8 becomes U+FFFD there, so here too.
    private func text(_ ours: String) -> String {
        String(decoding: latin1(ours), as: UTF8.self)
    }
}

extension String {
    fileprivate var trimmed: String {
        let blanks: Set<Character> = [" ", "\t"]
        return String(String(drop { blanks.contains($0) }.reversed()).drop { blanks.contains($0) }.reversed())
    }
}
