// SPDX-License-Identifier: Apache-2.0

import MCP
import Telemetry

/// What logs and metrics call an MCP request: of a batch the first message that asks for something. One request is one
/// observation, as long as it took: how long each message of a batch takes nobody can know here.
struct MessageLabels: Equatable {
    /// By ``MessageMethod``.
    let method: Int
    /// By ``LabelNames``; none but for calls of tools.
    let tool: Int
    /// The same; nil where there is none.
    let toolName: String?
    /// By ``ProtocolVersion``.
    let version: Int

    /// Nil where no method is known: a GET for events, the end of a session, answers, what can't be read.
    init?(_ traits: MessageTraits, naming tools: NamedTools) {
        guard let message = traits.messages?.messages.first(where: { $0.method != nil }) else { return nil }
        method = MessageMethod.number(of: message)
        version = traits.version
        if case .tool(let name) = message.target {
            (tool, toolName) = tools.label(of: name)
        } else {
            (tool, toolName) = (LabelNames.none, nil)
        }
    }

    var methodName: StaticString { MessageMethod.names[method] }

    // MARK: As the key of a series

    private static let toolError: UInt64 = 1
    private static let otherError: UInt64 = 2
    private static let firstReason: UInt64 = 1_000

    /// - Parameters:
    ///   - status: that was meant, also where an error was told in-band.
    ///   - reason: why it wasn't answered by the handler, or not to the end.
    func key(status: Int?, _ reason: Reason?, isToolError: Bool) -> UInt64 {
        let error: UInt64 =
            if let status, status >= 400 {
                RequestLabels.isAssigned(status) ? UInt64(status) : Self.otherError
            } else if let reason {
                Self.firstReason + UInt64(reason.rawValue)
            } else if isToolError {
                Self.toolError
            } else { status == nil ? Self.otherError : 0 }
        return UInt64(tool) << 32 | UInt64(method) << 24 | UInt64(version) << 16 | error
    }

    /// All but a call of a tool that went well: who has a key can have every method of every version, and be refused.
    @Sendable static func isMinor(_ key: UInt64) -> Bool {
        key & 0xFFFF != 0 || Int(key >> 24 & 0xFF) != MessageMethod.toolCall
    }

    static func labels(of key: UInt64) -> [MetricFamily.Label] {
        let (method, tool, error, version) = texts(of: key)
        return [
            MetricFamily.Label("mcp_method_name", method), MetricFamily.Label("gen_ai_tool_name", tool),
            MetricFamily.Label("error_type", error), MetricFamily.Label("mcp_protocol_version", version),
        ].filter { !$0.value.isEmpty }
    }

    private static func texts(of key: UInt64) -> (method: String, tool: String, error: String, version: String) {
        let other = LabelNames.otherText
        guard key != RequestLabels.other else { return (other, other, other, other) }
        let error: String =
            switch key & 0xFFFF {
            case 0: ""
            case toolError: "tool_error"
            case otherError: other
            case firstReason...: Reason(rawValue: Int(key & 0xFFFF - firstReason))?.word.description ?? other
            case let status: "\(status)"
            }
        return (
            MessageMethod.names[Int(key >> 24 & 0xFF)].description, LabelNames.ofProcess.text(of: Int(key >> 32)),
            error,
            ProtocolVersion.names[Int(key >> 16 & 0xFF)].description
        )
    }
}
