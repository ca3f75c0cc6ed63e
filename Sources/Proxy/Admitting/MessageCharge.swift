// SPDX-License-Identifier: Apache-2.0

import Admission
import Limits
import MCP

/// Which policies ask about a message, and what it costs by each (docs/design.md, "MCP").
extension PolicySelection {
    /// - Parameters:
    ///   - traits: without messages to be read it is charged as one.
    ///   - candidates: the policies that match route and method.
    ///   - hasKey: the caller has a `handshake` bucket of its own.
    init(_ traits: MessageTraits, of policies: [Policy], among candidates: PolicySelection, hasKey: Bool) {
        self.init()
        for index in candidates.indices {
            let policy = policies[index]
            guard let messages = traits.messages else {
                // Of what no message says, a stream alone is asked about.
                if !policy.match.readsContent || policy.isOpenStreams && traits.asksForStream {
                    append(index, cost: traits.isFree ? 0 : policy.cost(ofTool: nil))
                }
                continue
            }
            let matching = messages.messages.filter(policy.match.covers)
            guard !policy.match.readsContent || !matching.isEmpty else { continue }
            var cost = 0
            for message in matching {
                let (sum, overflow) = cost.addingReportingOverflow(policy.cost(of: message, hasKey: hasKey))
                cost = overflow ? .max : sum
            }
            // Any number of notices in one request is one request.
            if messages.isBatch, messages.areFree, !policy.match.readsContent { cost = 1 }
            append(index, cost: cost)
        }
    }
}

extension Policy {
    fileprivate func cost(of message: Message, hasKey: Bool) -> Int {
        if message.isFree { return 0 }
        // Who has used up its tokens can still connect, and is told by the first call.
        if message.isHandshake, hasKey { return isHandshake ? 1 : 0 }
        guard case .tool(let name) = message.target else { return cost(ofTool: nil) }
        return cost(ofTool: name.map { String(decoding: $0, as: UTF8.self) } ?? "")
    }
}

extension Policy.Match {
    fileprivate func covers(_ message: Message) -> Bool {
        mcpMethods.cover(message.method) && tools.cover(message.toolName) && prompts.cover(message.promptName)
            && resources.cover(message.resourceURI)
    }
}

extension [Glob] {
    /// An empty list asks for nothing.
    fileprivate func cover(_ text: [UInt8]?) -> Bool {
        isEmpty || text.map { text in contains { $0.matches(text) } } == true
    }
}

extension Message {
    /// The tool a request calls; nil where it calls none, or doesn't say which.
    fileprivate var toolName: [UInt8]? {
        if case .tool(let name) = target { name } else { nil }
    }

    fileprivate var promptName: [UInt8]? {
        if case .prompt(let name) = target { name } else { nil }
    }

    fileprivate var resourceURI: [UInt8]? {
        if case .resource(let uri) = target { uri } else { nil }
    }
}

extension Messages {
    /// Whether each URI in them is written in the one way that patterns are compared with.
    var haveNormalResources: Bool {
        messages.allSatisfy { message in message.resourceURI.map(ResourceURI.isNormal) ?? true }
    }

    /// Whether one of them calls a tool.
    var callTools: Bool {
        messages.contains { if case .tool = $0.target { true } else { false } }
    }

    /// The tools they call, for the rules of the key.
    var calledTools: [[UInt8]?] {
        messages.compactMap { message -> [UInt8]?? in
            if case .tool(let name) = message.target { .some(name) } else { nil }
        }
    }
}
