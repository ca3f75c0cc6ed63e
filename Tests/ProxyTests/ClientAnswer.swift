// SPDX-License-Identifier: Apache-2.0

import Testing

/// One answer as its client reads it.
struct ClientAnswer {
    let status: Int
    let reason: String
    let fields: [(name: String, value: String)]
    let body: String

    /// The value of a field; nil where there is none, and where there are several.
    subscript(name: String) -> String? {
        let values = all(name)
        return values.count == 1 ? values[0] : nil
    }

    func all(_ name: String) -> [String] {
        fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// The members of a field that is a list.
    func listed(_ name: String) -> Set<String> {
        Set(all(name).flatMap { $0.split(separator: ",") }.map { String($0.drop { $0 == " " }) })
    }

    /// What is left by each policy, as RateLimit has it.
    var remaining: [String: Int] {
        var left: [String: Int] = [:]
        for item in all("RateLimit").flatMap({ $0.split(separator: ",") }) {
            let parts = item.split(separator: ";").map { String($0.filter { $0 != " " && $0 != "\"" }) }
            left[parts[0]] = parts.first { $0.hasPrefix("r=") }.flatMap { Int($0.dropFirst(2)) }
        }
        return left
    }

    /// A refusal: all that each has, and a body with exactly these members.
    func expectProblem(_ status: Int, _ title: String, _ detail: String, then members: String = "") {
        #expect(self.status == status)
        #expect(self["Content-Type"] == "application/problem+json")
        #expect(self["Cache-Control"] == "no-store")
        #expect(
            body == """
                {"type":"about:blank","title":"\(title)","status":\(status),"detail":"\(detail)",\
                "correlation_id":"\(self["X-Correlation-ID"] ?? "none")"\(members)}
                """)
    }

    /// The same within JSON-RPC, told by the status.
    func expectMessage(
        _ status: Int, _ title: String, _ message: String, code: Int? = nil, id: String = "null",
        then members: String = ""
    ) {
        #expect(self.status == status)
        #expect(self["Content-Type"] == "application/json")
        #expect(self["Cache-Control"] == "no-store")
        #expect(
            body == """
                {"jsonrpc":"2.0","id":\(id),"error":{"code":\(code ?? status * 100),"message":"\(message)","data":{\
                "type":"about:blank","title":"\(title)","status":\(status),"detail":"\(message)",\
                "correlation_id":"\(self["X-Correlation-ID"] ?? "none")"\(members)}}}
                """)
    }

    /// - Parameter method: of all the requests that are answered.
    static func read(_ octets: [UInt8], answering method: String) throws -> [ClientAnswer] {
        var rest = octets[...]
        var answers: [ClientAnswer] = []
        while !rest.isEmpty {
            let end = try #require(rest.firstRange(of: Array("\r\n\r\n".utf8)))
            let lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
            rest = rest[end.upperBound...]
            let start = lines[0].split(separator: " ", maxSplits: 2)
            try #require(start.count == 3 && start[0] == "HTTP/1.1")
            let status = try #require(Int(start[1]))
            let fields = try lines.dropFirst().map { line in
                let colon = try #require(line.firstIndex(of: ":"))
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                return (name: String(line[..<colon]), value: String(value))
            }
            let head = ClientAnswer(status: status, reason: String(start[2]), fields: fields, body: "")
            let hasBody = method != "HEAD" && status >= 200 && status != 204 && status != 304
            let body = hasBody ? try payload(of: head, from: &rest) : []
            answers.append(
                ClientAnswer(
                    status: status, reason: head.reason, fields: fields, body: String(decoding: body, as: UTF8.self)))
        }
        return answers
    }

    private static func payload(of head: ClientAnswer, from rest: inout ArraySlice<UInt8>) throws -> [UInt8] {
        if head["Transfer-Encoding"] == "chunked" { return try chunks(from: &rest) }
        let length = try head["Content-Length"].map { try #require(Int($0)) } ?? rest.count
        try #require(rest.count >= length)
        defer { rest = rest.dropFirst(length) }
        return Array(rest.prefix(length))
    }

    /// All that are there; the trailer section is none of the payload.
    private static func chunks(from rest: inout ArraySlice<UInt8>) throws -> [UInt8] {
        var payload: [UInt8] = []
        while let end = rest.firstRange(of: Array("\r\n".utf8)) {
            let size = try #require(Int(String(decoding: rest[..<end.lowerBound], as: UTF8.self), radix: 16))
            rest = rest[end.upperBound...]
            guard size > 0 else {
                let end = try #require(rest.firstRange(of: Array("\r\n".utf8)))
                rest = rest[end.upperBound...]
                break
            }
            payload += rest.prefix(size)
            rest = rest.dropFirst(size + 2)
        }
        return payload
    }
}
