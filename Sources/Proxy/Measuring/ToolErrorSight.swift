// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore

/// Whether the answer to a call of a tool says `"isError": true`, as far as that is seen without reading it: in the first
/// 64 KiB, as they pass.
///
/// In a JSON text those octets, quotes included, are a member's name: inside a string a quote has `\` before it. At which
/// depth it stands isn't looked at. What is encoded isn't seen.
struct ToolErrorSight {
    private static let most = 64 * 1024
    private static let name = Array(#""isError""#.utf8)
    /// Octets that may be kept of what has passed: the name and what leads to its value.
    private static let kept = 24

    private(set) var isError = false
    private var remaining = ToolErrorSight.most
    private var last = ByteBuffer()

    mutating func see(_ payload: ByteBuffer) {
        guard !isError, remaining > 0 else { return }
        let looked = payload.getSlice(at: payload.readerIndex, length: min(remaining, payload.readableBytes))
        guard let stretch = looked else { return }
        remaining -= stretch.readableBytes
        // Where two stretches meet.
        last.writeBytes(stretch.readableBytesView.prefix(Self.kept))
        isError = Self.isTold(in: last.readableBytesView) || Self.isTold(in: stretch.readableBytesView)
        if stretch.readableBytes > Self.kept {
            last.clear()
            last.writeBytes(stretch.readableBytesView.suffix(Self.kept))
        } else {
            last.moveReaderIndex(forwardBy: max(0, last.readableBytes - Self.kept))
            last.discardReadBytes()
        }
    }

    private static func isTold(in octets: ByteBufferView) -> Bool {
        var rest = octets
        while let found = position(of: name, in: rest) {
            let value = rest[(found + name.count)...].drop { isBlank($0) }
            if value.first == UInt8(ascii: ":"), value.dropFirst().drop(while: isBlank).starts(with: "true".utf8) {
                // Within a string there is a backslash before the quote.
                if found == octets.startIndex || octets[found - 1] != UInt8(ascii: "\\") { return true }
            }
            rest = rest[(found + name.count)...]
        }
        return false
    }

    private static func isBlank(_ octet: UInt8) -> Bool {
        octet == UInt8(ascii: " ") || octet == UInt8(ascii: "\n") || octet == UInt8(ascii: "\r")
            || octet == UInt8(ascii: "\t")
    }

    /// The C library looks for the one capital in it, many octets at a time: few texts have many of these.
    private static func position(of name: [UInt8], in octets: ByteBufferView) -> Int? {
        let lead = 3
        var rest = octets.dropFirst(lead)
        while let capital = position(of: name[lead], in: rest) {
            if octets[(capital - lead)...].starts(with: name) { return capital - lead }
            rest = rest[(capital + 1)...]
        }
        return nil
    }

    private static func position(of octet: UInt8, in octets: ByteBufferView) -> Int? {
        octets.withUnsafeBytes { octets -> Int? in
            guard let start = octets.baseAddress, let found = memchr(start, Int32(octet), octets.count) else {
                return nil
            }
            return start.distance(to: UnsafeRawPointer(found))
        }.map { octets.startIndex + $0 }
    }
}
