// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import MCP

extension Delivery {
    /// How a refusal is told on an `mcp` route.
    ///
    /// - Parameter message: what is known of the request; nil where it was refused before its fields were read.
    init(of refusal: Refusal, to message: MessageTraits?, by snapshot: Snapshot) {
        // Who has OAuth configured wants the 403.
        let keepsStatus = refusal.occasion == .forGood && snapshot.resourceMetadata != nil
        self.init(
            keepsStatus ? .ofOther : refusal.occasion, to: message?.messages, in: message?.era ?? .legacy,
            Choice(refusal.rejection ?? snapshot.messages.rejection))
    }
}

extension Delivery.Choice {
    fileprivate init(_ rejection: Policy.Reject) {
        switch rejection {
        case .auto: self = .auto
        case .http: self = .http
        case .jsonrpc: self = .jsonrpc
        case .toolError: self = .toolError
        }
    }
}
