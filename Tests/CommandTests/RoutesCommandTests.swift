// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite struct RoutesCommandTests {
    private static let (first, second) = (String(repeating: "1a", count: 16), String(repeating: "2b", count: 16))

    /// As sidecars publish them (docs/design.md, "What is in Redis").
    private static let plain =
        #"{"policies":[["org"]],"routes":[{"path":"/a","access":"key","methods":["GET"],"policies":0}]}"#
    private static let rich = """
        {"policies":[["org","search"],["address"]],"routes":[\
        {"path":"/mcp","access":"key","mcp":true,"methods":["DELETE","GET","POST"],"policies":0,"scopes":["mcp"],\
        "tool_scopes":[{"tools":"db_*","scopes":["db:read","db:write"]}]},\
        {"path":"/health","access":"public","methods":["GET"],"throttle":false},\
        {"path":"/open","access":"public","policies":1},\
        {"path":"/b/{id}","access":"key","document":true,"methods":["GET","PUT"]}]}
        """

    /// - Parameter sidecars: by name; the text of a set under its hash.
    private func with(
        _ sidecars: [(name: String, routes: String?)], sets: [String: String],
        _ body: (Tollgatectl, RedisServer) async throws -> Void
    ) async throws {
        try await RedisServer.run { server in
            let now = try #require(try await server.cli("TIME").split(separator: "\n").first)
            for (hash, text) in sets { _ = try await server.cli("SET", "tg:1:{:m}:routes:\(hash)", text) }
            for (name, routes) in sidecars {
                let member = "\(name)@1.0\(routes.map { "/\($0)" } ?? ""):\(Self.first)"
                _ = try await server.cli("ZADD", "tg:1:{:m}:sidecars", String(now), member)
            }
            try await body(Tollgatectl(url: server.url), server)
        }
    }

    @Test func aTableHasTheColumnsThatTellSomething() async throws {
        try await with([("web-1", Self.first), ("web-2", Self.first)], sets: [Self.first: Self.plain]) {
            tollgatectl, _ in
            equal(
                try await tollgatectl("routes"),
                .init(
                    code: 0,
                    output: """
                        Routes of 2 sidecars web-1, web-2:
                        PATH  METHODS  ACCESS  POLICIES
                        /a    GET      key     org

                        """, errors: ""))
        }
        try await with([("web-1", Self.first)], sets: [Self.first: Self.rich]) { tollgatectl, _ in
            equal(
                try await tollgatectl("routes"),
                .init(
                    code: 0,
                    output: """
                        Routes of sidecar web-1:
                        PATH     METHODS          ACCESS  MCP  SCOPES                       POLICIES     FROM
                        /mcp     DELETE,GET,POST  key     mcp  mcp, db_*: db:read db:write  org, search  configuration
                        /health  GET              public  -    -                            unthrottled  configuration
                        /open    all              public  -    -                            address      configuration
                        /b/{id}  GET,PUT          key     -    -                            none         document

                        """, errors: ""))
        }
    }

    @Test func programsGetAllOfIt() async throws {
        try await with([("web-1", Self.first), ("old", nil)], sets: [Self.first: Self.rich]) { tollgatectl, _ in
            equal(
                try await tollgatectl("routes", "--json"),
                .init(
                    code: 0,
                    output: """
                        {"sets":[{"hash":"\(Self.first)","sidecars":["web-1"],"awaits_document":false,"omitted":0,"routes":[\
                        {"path":"/mcp","methods":["DELETE","GET","POST"],"access":"key","mcp":true,"throttle":true,\
                        "scopes":["mcp"],"tool_scopes":[{"tools":"db_*","scopes":["db:read","db:write"]}],\
                        "policies":["org","search"],"from":"configuration"},\
                        {"path":"/health","methods":["GET"],"access":"public","mcp":false,"throttle":false,"scopes":[],\
                        "tool_scopes":[],"policies":[],"from":"configuration"},\
                        {"path":"/open","methods":[],"access":"public","mcp":false,"throttle":true,"scopes":[],\
                        "tool_scopes":[],"policies":["address"],"from":"configuration"},\
                        {"path":"/b/{id}","methods":["GET","PUT"],"access":"key","mcp":false,"throttle":true,"scopes":[],\
                        "tool_scopes":[],"policies":[],"from":"document"}]}],"unpublished":["old"]}

                        """,
                    errors: "tollgatectl: warning: sidecar old is of an older version, which publishes no routes\n"))
        }
    }

    @Test func sidecarsThatDisagreeAreToldApart() async throws {
        let sidecars: [(name: String, routes: String?)] = [
            ("web-1", Self.second), ("web-2", Self.first), ("web-3", Self.first), ("old-1", nil), ("old-2", nil),
            ("lost", String(repeating: "3c", count: 16)),
        ]
        try await with(sidecars, sets: [Self.first: Self.plain, Self.second: Self.rich]) { tollgatectl, _ in
            equal(
                try await tollgatectl("routes"),
                .init(
                    code: 0,
                    output: """
                        Routes 1a1a1a1a of 2 sidecars web-2, web-3:
                        PATH  METHODS  ACCESS  POLICIES
                        /a    GET      key     org

                        Routes 2b2b2b2b of sidecar web-1:
                        PATH     METHODS          ACCESS  MCP  SCOPES                       POLICIES     FROM
                        /mcp     DELETE,GET,POST  key     mcp  mcp, db_*: db:read db:write  org, search  configuration
                        /health  GET              public  -    -                            unthrottled  configuration
                        /open    all              public  -    -                            address      configuration
                        /b/{id}  GET,PUT          key     -    -                            none         document

                        """,
                    errors: """
                        tollgatectl: warning: the sidecars disagree: they serve 2 route sets; give them one configuration, \
                        unless one is being put to work now
                        tollgatectl: warning: sidecar web-1 serves otherwise than 2 sidecars web-2, web-3: /mcp, /health, \
                        /open, /b/{id}, /a
                        tollgatectl: warning: 2 sidecars old-1, old-2 are of an older version, which publishes no routes
                        tollgatectl: warning: the routes of sidecar lost are not in Redis; ask again in a minute

                        """))
            let one = try await tollgatectl("routes", "--sidecar", "web-3")
            #expect(one.output.hasPrefix("Routes of sidecar web-3:\nPATH  METHODS  ACCESS  POLICIES\n/a "))
            #expect((one.code, one.errors) == (0, ""))
        }
    }

    @Test func whatIsNotThereIsSaid() async throws {
        let nothing = Tollgatectl.Outcome(
            code: 66, output: "", errors: "tollgatectl: no sidecar runs here; start one\n")
        try await with([], sets: [:]) { tollgatectl, _ in equal(try await tollgatectl("routes"), nothing) }
        try await with([("web-1", Self.first), ("old", nil)], sets: [:]) { tollgatectl, server in
            for (arguments, message) in [
                (["--sidecar", "web-9"], "no sidecar web-9 runs here, but 2 sidecars old, web-1"),
                (["--sidecar", "old"], "sidecar old is of an older version, which publishes no routes"),
                ([], "the routes of sidecar web-1 are not in Redis; ask again in a minute"),
            ] {
                equal(
                    try await tollgatectl.run(["routes"] + arguments),
                    .init(code: 66, output: "", errors: "tollgatectl: \(message)\n"))
            }
            _ = try await server.cli(
                "SET", "tg:1:{:m}:routes:\(Self.first)", #"{"routes":[],"awaits_document":true,"omitted":2}"#)
            equal(
                try await tollgatectl("routes", "--sidecar", "web-1"),
                .init(
                    code: 0, output: "Routes of sidecar web-1:\nnone\n",
                    errors: """
                        tollgatectl: warning: sidecar web-1: the document of openapi was not read yet, so all other paths are 503
                        tollgatectl: warning: sidecar web-1: 2 routes more not shown; 1048576 bytes of them are published

                        """))
        }
    }

    /// A terminal obeys what is in a path that somebody wrote to Redis.
    @Test func controlCharactersAreWritten() async throws {
        let text =
            #"{"policies":[["a\u001b[2J"]],"routes":[{"path":"/\u001b]0;x\u0007\n/b","access":"\u009b1m","policies":0}]}"#
        try await with([("web-1\u{1B}[1m", Self.first)], sets: [Self.first: text]) { tollgatectl, _ in
            let shown = try await tollgatectl("routes")
            #expect(shown.code == 0)
            #expect(
                shown.output == """
                    Routes of sidecar web-1\\u{1B}[1m:
                    PATH                     METHODS  ACCESS    POLICIES
                    /\\u{1B}]0;x\\u{7}\\u{A}/b  all      \\u{9B}1m  a\\u{1B}[2J

                    """)
            let json = try await tollgatectl("routes", "--json").output
            #expect(json.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7F || $0 == "\n" })
        }
    }

    /// Whoever can write to Redis can make up sets.
    @Test func twentySetsAreRead() async throws {
        let hashes = (10..<40).map { String(repeating: "\($0)", count: 16) }
        let sidecars = hashes.map { (name: "web-\($0.prefix(2))", routes: String?.some($0)) }
        try await with(sidecars, sets: .init(uniqueKeysWithValues: hashes.map { ($0, Self.plain) })) { tollgatectl, _ in
            let shown = try await tollgatectl("routes")
            #expect(shown.code == 0)
            #expect(shown.output.matches(of: /Routes \d{8} of sidecar/).count == 20)
            let warnings = shown.errors.split(separator: "\n")
            #expect(warnings.first?.contains("they serve 30 route sets") == true)
            #expect(warnings.contains("tollgatectl: warning: 14 more like these"))
            #expect(warnings.contains("tollgatectl: warning: 10 route sets more not shown; name one by --sidecar"))
        }
    }
}
