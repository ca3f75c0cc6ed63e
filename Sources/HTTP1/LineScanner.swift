// SPDX-License-Identifier: Apache-2.0

/// Finds the lines of a head in a buffer that grows, looking at no octet twice.
///
/// A control octet, a bare CR or LF among them, is refused as soon as it is seen; a line is handed out when its CRLF is
/// there, and not before. So the verdict on a head never depends on how the network has cut it. Offsets count from the
/// first octet of the head.
struct LineScanner {
    /// Where the next line begins.
    private(set) var lineStart = 0
    /// Up to where no control octet was found.
    private var scanned = 0

    /// The next line without its CRLF; nil if its end isn't there yet. It holds no control octet but HTAB.
    @inline(__always)
    mutating func next(in span: Span<UInt8>, limit: Int) throws(HeadError) -> Range<Int>? {
        let end = min(span.count, limit)
        scanned = span.firstControl(from: scanned, upTo: end)
        guard scanned < end else { return try more(span, limit: limit) }
        guard span[scanned] == Octet.carriageReturn else {
            throw span[scanned] == Octet.lineFeed ? .bareLineFeed : .controlOctet
        }
        guard scanned + 1 < end else { return try more(span, limit: limit) }
        guard span[scanned + 1] == Octet.lineFeed else { throw .bareCarriageReturn }
        let line = lineStart..<scanned
        scanned += 2
        lineStart = scanned
        return line
    }

    private func more(_ span: Span<UInt8>, limit: Int) throws(HeadError) -> Range<Int>? {
        guard span.count < limit else { throw .tooLarge }
        return nil
    }
}
