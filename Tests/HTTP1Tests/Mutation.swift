// SPDX-License-Identifier: Apache-2.0

import TestSupport

@testable import FuzzSubjects

/// Messages made of other messages by a few small changes, of the kind that makes two readers disagree.
struct Mutation {
    private static let pieces: [[UInt8]] = [
        "\r\n", "\n", "\r", "\r\n\r\n", " ", "\t", ":", ";", ",", "0", "5", "00", "\u{0}", "\u{7F}", "_", "-", "/", "*",
        "#",
        "chunked", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", "Content-Length: ", "Host: a.example\r\n",
        "Connection: close\r\n", "Transfer-Encoding", "HTTP/1.0", "HTTP/1.1", "\r\n ", "0\r\n\r\n", "5;x=\"y\"\r\n",
        "X-Tollgate-Org: x\r\n", "\u{E9}", "\u{A0}", "ffffffffffffffff", "18446744073709551616", "http://a.example/",
    ].map { latin1($0) }

    static func mutate(_ octets: [UInt8], using generator: inout SplitMix) -> [UInt8] {
        var octets = octets
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            let position = Int.random(in: 0...octets.count, using: &generator)
            let end = min(octets.count, position + Int.random(in: 0...6, using: &generator))
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: octets.insert(contentsOf: pieces.randomElement(using: &generator) ?? [], at: position)
            case 1: octets.replaceSubrange(position..<end, with: pieces.randomElement(using: &generator) ?? [])
            case 2: octets.removeSubrange(position..<end)
            case 3: octets.insert(contentsOf: octets[position..<end], at: position)
            case 4 where position < octets.count: octets[position] = UInt8.random(in: 0...255, using: &generator)
            default: if position < octets.count { octets[position] ^= 0x20 }
            }
        }
        return octets
    }
}
