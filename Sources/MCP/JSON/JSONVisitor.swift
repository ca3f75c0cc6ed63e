// SPDX-License-Identifier: Apache-2.0

/// What a scan is for: it is told what the text consists of, in order, and says which texts it wants to see.
///
/// Offsets count octets from the beginning of the whole text, over all slices.
protocol JSONVisitor {
    /// - Throws: what the text must not be, though it is JSON.
    mutating func begin(_ container: JSONContainer, at offset: Int) throws(MessageFlaw)
    /// - Parameter end: of the closing bracket.
    mutating func end(_ container: JSONContainer, at end: Int) throws(MessageFlaw)

    /// A member's name begins.
    mutating func captureOfName() -> JSONCapture
    /// - Parameter name: unescaped; nil where it wasn't asked for, or is longer than anything of interest.
    mutating func name(_ name: [UInt8]?) throws(MessageFlaw)

    /// A string, number, `true`, `false` or `null` begins.
    mutating func captureOfScalar(_ kind: JSONScalar, at offset: Int) -> JSONCapture
    /// - Parameter text: what was asked for; nil where nothing was.
    mutating func scalar(_ kind: JSONScalar, _ text: [UInt8]?) throws(MessageFlaw)
}

enum JSONContainer {
    case object, array
}

enum JSONScalar {
    case string, number, literal
}

/// What is kept of a text while it passes.
enum JSONCapture {
    case none
    /// Unescaped, without the quotes.
    case text
    /// As written, quotes and escapes included.
    case raw
}
