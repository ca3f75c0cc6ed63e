// SPDX-License-Identifier: Apache-2.0

/// How a refusal reaches the client: as an HTTP status, or within a 200 that answers the request (docs/mcp.md, "Refusals").
package enum Delivery: Sendable, Hashable {
    /// The status, with a JSON-RPC error as its body: for this id, as written, or for `null`.
    case status(id: [UInt8]?)
    /// 200 with one answer.
    case answer(Reply)
    /// 200 with an array of answers.
    case answers([Reply])

    package struct Reply: Sendable, Hashable {
        /// As written.
        package var id: [UInt8]
        /// A result with `isError`, which a model gets to read, rather than a JSON-RPC error.
        package var isToolResult: Bool

        package init(id: [UInt8], isToolResult: Bool) {
            self.id = id
            self.isToolResult = isToolResult
        }
    }

    package var isInBand: Bool {
        switch self {
        case .status: false
        case .answer, .answers: true
        }
    }

    /// What an operator wants of a policy's refusals.
    package enum Choice: Sendable, Hashable {
        /// By era: what the client survives.
        case auto
        case http, jsonrpc, toolError
    }

    /// What is refused.
    package enum Occasion: Sendable, Hashable {
        /// For now: a rate limit, or the limiter itself is away.
        case forNow
        /// For good, and the caller is known: an HTTP 403 makes some clients start OAuth.
        case forGood
        /// Anything else keeps its status in every era.
        case ofOther
    }

    /// - Parameter messages: nil where no body was read.
    package init(_ occasion: Occasion, to messages: Messages?, in era: Era, _ choice: Choice) {
        let replies = (messages?.messages ?? []).compactMap { message -> Reply? in
            guard message.kind == .request, let id = message.id else { return nil }
            let isCall = message.isMethod("tools/call")
            return Reply(id: id, isToolResult: isCall && (choice == .toolError || choice == .auto && era == .legacy))
        }
        guard Self.isInBand(occasion, to: messages, in: era, choice), let messages, !replies.isEmpty else {
            // The id of an answer is the server's: the client may have a request of its own under it.
            let only = messages?.isBatch == false ? messages?.messages.first : nil
            self = .status(id: only?.kind == .response ? nil : only?.id)
            return
        }
        self = messages.isBatch ? .answers(replies) : .answer(replies[0])
    }

    private static func isInBand(
        _ occasion: Occasion, to messages: Messages?, in era: Era, _ choice: Choice
    ) -> Bool {
        switch (occasion, choice) {
        case (.ofOther, _), (_, .http): false
        case (_, .jsonrpc), (_, .toolError), (.forGood, .auto): true
        case (.forNow, .auto):
            // A client whose `initialize` fails has no session to lose.
            era == .legacy && !(messages?.isBatch == false && messages?.messages.first?.isInitialize == true)
        }
    }
}
