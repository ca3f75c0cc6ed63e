// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Proxy
import Settings

/// What the fuzzers feed: each takes any octets and traps where a promise is broken. The same functions are called by a
/// test over the corpus, so that they hold without a fuzzer too.
package enum Subject: String, CaseIterable, Sendable {
    /// Messages: a head and its body, read whole and in pieces.
    case heads
    /// Bodies alone, in each framing.
    case bodies
    /// Request targets, by the routes of a configuration with something to protect.
    case targets
    case configuration
    /// Read as the body of an MCP request, and as an answer from which tools are left out.
    case messages

    package func check(_ octets: [UInt8]) {
        switch self {
        case .heads: Self.checkHead(octets)
        case .bodies: Self.checkBody(octets)
        case .targets: TargetSubject.check(octets)
        case .configuration: Self.checkConfiguration(octets)
        case .messages: MessageSubject.check(octets)
        }
    }

    /// However a message is cut, it says the same.
    private static func checkHead(_ octets: [UInt8]) {
        for kind in [Reader.Kind.request, .response(to: .get), .response(to: .head)] {
            let whole = Reader.read(octets, as: kind, endsThere: true, limit: 64)
            let pieces = Reader.read(octets, as: kind, cutAt: cuts(of: octets), endsThere: true, limit: 64)
            precondition(whole == pieces, "A cut changes what a message says")
            if case .request = kind, let head = whole.head { check(head) }
        }
    }

    /// What every handler may rely on in a head that we pass.
    private static func check(_ head: Reading.Head) {
        for part in head.start + head.fields.flatMap({ $0 }) {
            let isClean = part.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F || $0 == "\t" }
            precondition(isClean, "A control character passed")
        }
        let names = head.fields.map { $0[0].lowercased() }
        precondition(names.count { $0 == "host" } <= 1, "Two hosts passed")
        let isChunked = names.contains("transfer-encoding")
        let lengths = names.count { $0 == "content-length" }
        precondition(!(isChunked && lengths > 0), "Two framings passed")
        precondition(lengths <= 1, "Two lengths passed")
    }

    private static func checkBody(_ octets: [UInt8]) {
        guard let first = octets.first else { return }
        let input = Array(octets.dropFirst())
        let framing: BodyFraming =
            switch first % 4 {
            case 0: .chunked
            case 1: .length(UInt64(first))
            case 2: .untilClose
            default: .none
            }
        let limit: UInt64? = first < 128 ? nil : 16
        precondition(
            body(input, framing, limit, cuts: []) == body(input, framing, limit, cuts: cuts(of: input)),
            "A cut changes what a body says")
    }

    /// Payload, then what ended it.
    private static func body(
        _ octets: [UInt8], _ framing: BodyFraming, _ limit: UInt64?, cuts: [Int]
    ) -> [[UInt8]] {
        var decoder = BodyDecoder(framing: framing, maxBytes: limit)
        var input = ByteBuffer()
        var payload: [UInt8] = []
        var start = 0
        for cut in cuts + [octets.count] {
            input.writeBytes(octets[start..<cut])
            start = cut
            do throws(BodyError) {
                while let event = try decoder.decode(&input) {
                    switch event {
                    case .payload(let part):
                        precondition(part.readableBytes > 0, "A payload event without payload")
                        payload += part.readableBytesView
                        precondition(payload.count <= limit ?? .max, "More than the limit passed")
                    case .end(let trailers):
                        // What follows the body is left, whole.
                        let rest = Array(input.readableBytesView) + octets[cut...]
                        return [payload, Array((trailers ?? ByteBuffer()).readableBytesView), rest]
                    }
                }
            } catch {
                return [payload, Array("\(error)".utf8)]
            }
        }
        return [payload, Array("open".utf8)]
    }

    /// A configuration is taken or refused with words; the same text always means the same.
    private static func checkConfiguration(_ octets: [UInt8]) {
        guard let text = String(validating: octets, as: UTF8.self) else { return }
        let one = Result { () throws(ConfigurationError) in try Settings.parse(text, named: "file.yaml") }
        let other = Result { () throws(ConfigurationError) in try Settings.parse(text, named: "file.yaml") }
        switch (one, other) {
        case (.success(let one), .success(let other)):
            precondition(one == other, "One text, two configurations")
        case (.failure(let one), .failure(let other)):
            precondition(!one.lines.isEmpty && one.lines == other.lines, "A refusal without words")
        case (.success, .failure), (.failure, .success):
            preconditionFailure("Taken and refused")
        }
    }

    /// Up to four places, by the octets themselves: the same input always gives the same.
    private static func cuts(of octets: [UInt8]) -> [Int] {
        guard !octets.isEmpty else { return [] }
        var hash: UInt64 = 14_695_981_039_346_656_037
        for octet in octets { hash = (hash ^ UInt64(octet)) &* 1_099_511_628_211 }
        return (0..<4).map { Int((hash >> UInt64($0 * 16)) & 0xFFFF) % (octets.count + 1) }.sorted()
    }
}
