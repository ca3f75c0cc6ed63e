// SPDX-License-Identifier: Apache-2.0

import Octets

extension UInt8 {
    /// May stand in a segment unescaped: unreserved, sub-delims, `:` and `@` (RFC 3986 §3.3).
    var isPathCharacter: Bool { isUnreserved || "!$&'()*+,;=:@".utf8.contains(self) }
}
