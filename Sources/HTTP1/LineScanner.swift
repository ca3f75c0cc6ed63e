// SPDX-License-Identifier: Apache-2.0

/// Finds the lines of a head in a buffer that grows, looking at no octet twice.
///
/// A line is handed out when its CRLF is there, and not before: so the verdict on a head never depends on how the network
/// has cut it. Offsets count from the first octet of the head.
struct LineScanner {
    /// Where the next line begins.
    private(set) var lineStart = 0
    /// Up to where no line feed was found.
    private var scanned = 0

    /// The next line without its CRLF; nil if its end isn't there yet.
    @inline(__always)
    mutating func next(in span: Span<UInt8>, limit: Int) throws(HeadError) -> Range<Int>? {
        let end = min(span.count, limit)
        var position = scanned
        while position < end, span[position] != Octet.lineFeed { position += 1 }
        guard position < end else {
            scanned = position
            if span.count >= limit { throw .tooLarge }
            return nil
        }
        let start = lineStart
        guard position > start, span[position - 1] == Octet.carriageReturn else { throw .bareLineFeed }
        lineStart = position + 1
        scanned = lineStart
        return start..<(position - 1)
    }
}
