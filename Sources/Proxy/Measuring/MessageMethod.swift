// SPDX-License-Identifier: Apache-2.0

import MCP

/// The methods that a specification of MCP has, from 2024-11-05 on; what callers make up is `other`.
enum MessageMethod {
    /// What is answered, not asked, has no method.
    static let none = 0
    static let other = 1

    /// By number.
    static let names: [StaticString] = [
        "", "other",
        "initialize", "ping", "server/discover", "subscriptions/listen",
        "tools/list", "tools/call", "prompts/list", "prompts/get",
        "resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
        "completion/complete", "logging/setLevel", "sampling/createMessage", "roots/list", "elicitation/create",
        "tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "tasks/update",
        "notifications/initialized", "notifications/cancelled", "notifications/progress", "notifications/message",
        "notifications/resources/list_changed", "notifications/resources/updated", "notifications/tools/list_changed",
        "notifications/prompts/list_changed", "notifications/roots/list_changed",
        "notifications/elicitation/complete", "notifications/tasks/status",
    ]

    static let toolCall = names.firstIndex { $0.description == "tools/call" } ?? other

    private static let numbers: [[UInt8]: Int] = Dictionary(
        uniqueKeysWithValues: names.enumerated().dropFirst(2).map { (Array($1.description.utf8), $0) })

    static func number(of message: Message) -> Int {
        guard let method = message.method else { return none }
        return numbers[method] ?? other
    }
}
