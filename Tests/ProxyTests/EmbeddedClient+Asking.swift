// SPDX-License-Identifier: Apache-2.0

import Testing

extension EmbeddedClient {
    /// Routes of a shop, as its owner lists them.
    static let shop = """
        routes:
          - {path: /api/listings, methods: [GET]}
          - {path: /api/listings, methods: [POST]}
          - {path: "/api/listings/{id}", methods: [GET]}
          - {path: /open, methods: [GET], public: true}
          - {path: "/files/{rest*}"}
          - {path: /mcp, mcp: true}

        """
    /// Whoever needs no key passes, without Redis.
    static let open = """
        redis: {on_failure: open}
        upstream: {url: "http://127.0.0.1:1"}

        """

    /// What is counted is counted here, so that there are numbers without Redis.
    static let counting = """
        redis: {on_failure: local, local_share: 1}
        loops: 1
        upstream: {url: "http://127.0.0.1:1"}

        """
    static let key = KnownKey(text: "mcp_" + String(repeating: "A", count: 43))

    static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    /// One request and its answer.
    struct Exchanged {
        let answer: ClientAnswer
        /// The lines of the head that the handler got; none where the request was answered without it.
        let forwarded: [String]
        /// What it got behind the head, as it came.
        let body: String

        /// The values of a field that the handler got.
        func forwarded(_ name: String) -> [String] {
            forwarded.dropFirst().filter { $0.lowercased().hasPrefix(name.lowercased() + ":") }
                .map { String($0.dropFirst(name.count + 1).drop { $0 == " " }) }
        }
    }

    /// - Parameters:
    ///   - request: method and target; HTTP/1.1 and what else it needs is added, a Host where `fields` have none.
    ///   - answer: the handler's, if it is asked; nil: it leaves.
    func ask(
        _ request: String, _ fields: [String] = [], body: String? = nil, answer: String? = ok
    ) throws -> Exchanged {
        let hasHost = fields.contains { $0.lowercased().hasPrefix("host:") }
        let lines =
            ["\(request) HTTP/1.1"] + (hasHost ? [] : ["Host: tollgate.test"]) + fields
            + (body.map { ["Content-Length: \($0.utf8.count)"] } ?? [])
        try send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
        let sent = try handlers.isEmpty ? "" : handler.taken()
        if !sent.isEmpty {
            if let answer { try handler.send(answer) } else { try handler.end() }
        }
        let answers = try answers(to: String(request.prefix { $0 != " " }))
        try #require(answers.count == 1)
        let end = sent.firstRange(of: "\r\n\r\n")
        let head = end.map { sent[..<$0.lowerBound] } ?? ""
        return Exchanged(
            answer: answers[0], forwarded: head.split(separator: "\r\n").map(String.init),
            body: end.map { String(sent[$0.upperBound...]) } ?? "")
    }
}
