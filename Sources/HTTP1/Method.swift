// SPDX-License-Identifier: Apache-2.0

/// The method of a request. Methods are case sensitive: `get` is `other`.
package enum Method: UInt8, Sendable, CaseIterable {
    case get, head, post, put, delete, patch, options, trace, connect
    /// Any other token; its octets are in the head.
    case other

    /// Tokens longer than this are refused.
    static var maximumLength: Int { 32 }

    init(_ token: Range<Int>, of span: Span<UInt8>) {
        guard token.count <= 7 else {
            self = .other
            return
        }
        var word: UInt64 = 0
        for position in token { word = word &<< 8 | UInt64(span[position]) }
        switch word {
        case 0x47_4554: self = .get
        case 0x4845_4144: self = .head
        case 0x504F_5354: self = .post
        case 0x50_5554: self = .put
        case 0x4445_4C45_5445: self = .delete
        case 0x50_4154_4348: self = .patch
        case 0x4F_5054_494F_4E53: self = .options
        case 0x54_5241_4345: self = .trace
        case 0x43_4F4E_4E45_4354: self = .connect
        default: self = .other
        }
    }

    /// The token; nil for `other`.
    package var name: StaticString? {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .patch: "PATCH"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .connect: "CONNECT"
        case .other: nil
        }
    }
}
