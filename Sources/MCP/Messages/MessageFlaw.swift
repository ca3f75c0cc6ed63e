// SPDX-License-Identifier: Apache-2.0

/// What a JSON text must not be, because the handler may read it as another request than the one that was counted.
package enum MessageFlaw: Error, Sendable, Hashable {
    /// A member that decides what a message is comes twice. SDK 1.30 takes the last, others the first.
    case duplicate(MemberName)
    /// Go's encoding/json takes `Method` for `method`.
    case misspelt(MemberName)
    /// SDK 1.30 runs a `tools/call` that also carries a `result`.
    case requestAndResponse
    case nestedBatch
    case tooManyMessages(most: Int)
    case tooDeep
    /// A name, method, URI or id beyond ``Message/longestText``.
    case tooLong
}

extension MessageFlaw: CustomStringConvertible {
    package var description: String {
        switch self {
        case .duplicate(let name): "member '\(name.text)' given twice"
        case .misspelt(let name): "a member's name differs from '\(name.text)' in letter case only"
        case .requestAndResponse: "message is both request and response"
        case .nestedBatch: "batch within a batch"
        case .tooManyMessages(let most): "more than \(most) messages in a batch"
        case .tooDeep: "nested more than 64 levels deep"
        case .tooLong: "method, name, URI or id longer than \(Message.longestText) octets"
        }
    }
}
