// SPDX-License-Identifier: Apache-2.0

extension String {
    /// The octets of its UTF-8, in place.
    ///
    /// In place of `utf8.span`: that of a short string, made in place, came out as other octets in a release build (Swift 6.3.1).
    @inlinable @inline(__always)
    package func withOctets<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        utf8.withContiguousStorageIfAvailable { body($0.span) } ?? body(Array(utf8).span)
    }
}
