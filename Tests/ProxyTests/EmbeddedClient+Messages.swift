// SPDX-License-Identifier: Apache-2.0

extension EmbeddedClient {
    static let modern = "MCP-Protocol-Version: 2026-07-28"
    static let forEvents = "Accept: text/event-stream"
    static let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    /// The beginning of a stream, whose end doesn't come.
    static let stream =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"

    static func message(_ method: String, id: String? = "1", params: String? = nil) -> String {
        let members = [id.map { #""id":\#($0)"# }, #""method":"\#(method)""#, params.map { #""params":\#($0)"# }]
        return #"{"jsonrpc":"2.0",\#(members.compactMap(\.self).joined(separator: ","))}"#
    }

    static func call(_ tool: String, id: String = "1") -> String {
        message("tools/call", id: id, params: #"{"name":"\#(tool)","arguments":{}}"#)
    }

    /// - Parameter key: none: who asks has none.
    func post(
        _ body: String, _ fields: [String] = [], by key: KnownKey? = EmbeddedClient.key, to path: String = "/mcp",
        answer: String? = ok
    ) throws -> Exchanged {
        let own = ["Content-Type: application/json"] + (key.map { ["X-API-Key: \($0.text)"] } ?? [])
        return try ask("POST \(path)", own + fields, body: body, answer: answer)
    }

    func get(
        _ path: String = "/mcp", _ fields: [String] = [], by key: KnownKey? = EmbeddedClient.key, answer: String? = ok
    ) throws -> Exchanged {
        try ask("GET \(path)", (key.map { ["X-API-Key: \($0.text)"] } ?? []) + fields, answer: answer)
    }
}
