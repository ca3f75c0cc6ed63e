// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Limits
import Octets
import Settings
import Testing

@Suite struct ValueTests {
    /// A configuration with most defaults written out.
    private static let example = """
        listen: 127.0.0.1:8080            # or a list
        loops: 2                          # event loops; default: the cores, at most 4
        namespace: tg                     # first part of every Redis key
        admin: 127.0.0.1:9901             # off disables
        log: {level: info, format: text, access: stdout, sample: 100%}   # access: stdout, off or a file
        upstream:
          url: http://127.0.0.1:8081
          host: auto
          connect_timeout: 1s
          response_timeout: 60s           # to the response head; what accepts event streams is exempt
          idle_timeout: 4s                # below uvicorn's 5 s keep-alive
          max_connections: 256
        redis:
          url: redis://127.0.0.1:6379/0
          timeout: 250ms
          on_failure: closed
          local_share: 0.5
        keys:
          prefix: mcp_
          accept: ["mcp_"]
          headers: [X-API-Key, Authorization]
          forward: false
          max_active_per_org: 5
          anonymous: deny
        routes:
          - path: /health
            methods: [GET]
            public: true
            throttle: false
          - path: /api/listings/{id}
            methods: [GET]
          - path: /mcp
            mcp: true
        policies:
          - name: address
            per: address
            applies_to: anonymous
            limit: 15/10s
          - name: org
            per: org
            limit: 20/10s
            burst: 20
          - name: search
            per: key
            match: {routes: [/mcp], methods: [POST]}
            limit: 5/1m
            cost: 1
            mode: enforce
        trusted_proxies: [127.0.0.0/8, "::1/128", unix]
        client_address: X-Forwarded-For
        merge_slashes: false
        drain: {delay: 0s, timeout: 30s}
        limits: {header_bytes: 32KiB, body_bytes: 16MiB, header_timeout: 10s, idle_timeout: 75s, connections: 10000}
        """

    @Test func theExampleIsTheDefaultsWithRoutesAndAPolicy() throws {
        var settings = try parse(Self.example)
        #expect(
            settings.routes == [
                Settings.Route(path: "/health", methods: ["GET"], isPublic: true, isThrottled: false),
                Settings.Route(path: "/api/listings/{id}", methods: ["GET"]),
                Settings.Route(path: "/mcp", methods: ["DELETE", "GET", "POST"], isMCP: true),
            ])
        #expect(
            settings.policies == Policy.builtIn() + [
                Policy(
                    name: "search", per: .key, limit: Limit(count: 5, periodMicroseconds: 60_000_000),
                    match: Policy.Match(routes: ["/mcp"], methods: ["POST"])),
                .handshake(), .openStreams(),
            ])
        settings.routes = []
        settings.policies = Policy.builtIn()
        let defaults = try parse("{loops: 2}")
        #expect(settings == defaults)
    }

    @Test func jsonIsASubset() throws {
        let settings = try parse(
            """
            {"listen": ["127.0.0.1:1", "[::1]:1"], "admin": "off", "log": {"access": false, "level": "error"},
             "redis": {"local_share": 0.25, "timeout": "10ms"}, "merge_slashes": true,
             "routes": [{"path": "\\u002fa", "public": true}], "policies": []}
            """)
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 1), .tcp(host: "::1", port: 1)])
        #expect(settings.admin == nil)
        #expect(settings.log.access == .off)
        #expect(settings.redis.localShare == 0.25)
        #expect(settings.mergesSlashes)
        #expect(settings.routes == [Settings.Route(path: "/a", isPublic: true)])
        #expect(settings.policies.isEmpty)
    }

    @Test(arguments: ["off", "false", "no", "Off", "FALSE"])
    func offAndFalseBothDisable(word: String) throws {
        let settings = try parse("admin: \(word)\nlog: {access: \(word)}")
        #expect(settings.admin == nil)
        #expect(settings.log.access == .off)
        let routes = "routes: [{path: /a, response_timeout: \(word)}, {path: /b, response_timeout: 5m}, {path: /c}]"
        let timeouts = try parse("upstream: {response_timeout: \(word)}\n\(routes)")
        #expect(timeouts.upstream.responseTimeout == .off)
        #expect(timeouts.routes.map(\.responseTimeout) == [.off, .after(.seconds(300)), nil])
    }

    @Test(arguments: [
        ("1ms", Duration.milliseconds(1)), ("250ms", .milliseconds(250)), ("1s", .seconds(1)), ("90s", .seconds(90)),
        ("2m", .seconds(120)), ("24h", .seconds(86_400)), ("1d", .seconds(86_400)), ("007s", .seconds(7)),
    ])
    func durations(text: String, value: Duration) throws {
        #expect(try parse("upstream: {response_timeout: \(text)}").upstream.responseTimeout == .after(value))
        #expect(try parse("upstream: {response_timeout: '\(text)'}").upstream.responseTimeout == .after(value))
    }

    @Test(arguments: [
        ("1", 1), ("512B", 512), ("1KiB", 1024), ("16MiB", 16_777_216), ("1GiB", 1_073_741_824), ("1024GiB", 1 << 40),
    ])
    func sizes(text: String, value: Int) throws {
        #expect(try parse("limits: {body_bytes: \(text)}").limits.bodyBytes == value)
    }

    @Test func headersMayHaveAsMuchAsOffsetsReach() throws {
        #expect(try parse("limits: {header_bytes: 65535}").limits.headerBytes == 65_535)
        #expect(try parse("limits: {header_bytes: 63KiB}").limits.headerBytes == 64_512)
    }

    @Test(arguments: [
        ("http://127.0.0.1", "127.0.0.1", 80), ("http://localhost:3000/", "localhost", 3000),
        ("http://[::1]:8081", "::1", 8081), ("http://my_service.internal:1", "my_service.internal", 1),
    ])
    func upstreamURLs(url: String, host: String, port: Int) throws {
        let upstream = try parse("upstream: {url: '\(url)'}").upstream
        #expect(upstream.location == .tcp(host: host, port: port))
        #expect(upstream.authority == String(url.dropFirst("http://".count).prefix(while: { $0 != "/" })))
        #expect(upstream.sentHost(on: nil) == upstream.authority)
    }

    @Test func unixSockets() throws {
        let settings = try parse(
            "{listen: ['unix:/run/tollgate/a.sock', '127.0.0.1:1'], upstream: {url: 'unix:/run/handler.sock'}}")
        #expect(settings.listen == [.unix(path: "/run/tollgate/a.sock"), .tcp(host: "127.0.0.1", port: 1)])
        #expect(settings.upstream.location == .unix(path: "/run/handler.sock"))
        #expect(settings.upstream.authority == "localhost")
        #expect(settings.upstream.sentHost(on: nil) == "localhost")
        #expect(try parse("listen: unix:/a").listen == [.unix(path: "/a")])
        // As long as the kernel takes, with room for what a listener is called before it is complete.
        let longest = "/" + String(repeating: "a", count: 98)
        #expect(try parse("listen: unix:\(longest)").listen == [.unix(path: longest)])
        let upstream = "/" + String(repeating: "a", count: 106)
        #expect(try parse("upstream: {url: unix:\(upstream)}").upstream.location == .unix(path: upstream))
    }

    @Test(arguments: [
        ("auto", Settings.Upstream.Host.auto), ("upstream", .upstream), ("preserve", .preserve),
        ("api.internal", .name("api.internal")),
        ("127.0.0.1:8081", .name("127.0.0.1:8081")), ("'[::1]:80'", .name("[::1]:80")),
    ])
    func hostsSentOn(text: String, host: Settings.Upstream.Host) throws {
        let upstream = try parse("upstream: {host: \(text)}").upstream
        #expect(upstream.forwardedHost == host)
        switch host {
        case .auto, .upstream: #expect(upstream.sentHost(on: nil) == "127.0.0.1:8081")
        case .preserve: #expect(upstream.sentHost(on: nil) == nil)
        case .name(let name): #expect(upstream.sentHost(on: nil) == name)
        }
    }

    @Test(
        arguments: [
            // Everywhere, on the route, and what is then sent on from an mcp route and from another.
            (nil, nil, "127.0.0.1:8081", nil), ("auto", nil, "127.0.0.1:8081", nil),
            ("upstream", nil, "127.0.0.1:8081", "127.0.0.1:8081"), ("preserve", nil, nil, nil),
            ("api.internal", nil, "api.internal", "api.internal"), (nil, "preserve", nil, nil),
            (nil, "upstream", "127.0.0.1:8081", "127.0.0.1:8081"), ("preserve", "auto", "127.0.0.1:8081", nil),
            ("upstream", "inner.example:81", "inner.example:81", "inner.example:81"),
        ] as [(String?, String?, String?, String?)])
    func hostsSentOnFromRoutes(everywhere: String?, own: String?, mcp: String?, other: String?) throws {
        let host = own.map { ", host: '\($0)'" } ?? ""
        let settings = try parse(
            "{\(everywhere.map { "upstream: {host: \($0)}, " } ?? "")"
                + "routes: [{path: /mcp, mcp: true\(host)}, {path: /a\(host)}]}")
        #expect(settings.routes.map { settings.upstream.sentHost(on: $0) } == [mcp, other])
    }

    @Test(arguments: [
        ("stdout", Settings.Log.Access.stdout), ("off", .off), ("'off'", .off),
        ("/var/log/a b.log", .file("/var/log/a b.log")), ("./access.log", .file("./access.log")),
    ])
    func accessLogs(text: String, access: Settings.Log.Access) throws {
        #expect(try parse("log: {access: \(text)}").log.access == access)
    }

    @Test func redisURLs() throws {
        #expect(
            try parse("redis: {url: 'redis://u:p%40ss@[::1]:7000/3'}").redis.endpoint
                == RedisEndpoint(.tcp(host: "::1", port: 7000), username: "u", password: "p@ss", database: 3))
        #expect(
            try parse("redis: {url: unix:/run/redis.sock}").redis.endpoint
                == RedisEndpoint(.unix(path: "/run/redis.sock")))
    }

    @Test(arguments: [
        "/", "/a", "/a/", "/a/b.c~d_e-f", "/{id}", "/{a}/{b}", "/f/{rest*}", "/{rest*}", "/a/{_x1}/c", "/%C3%A9",
        "/a:b@c", "/.well-known/x", "/...", "/a,b=c&d",
    ])
    func routePaths(path: String) throws {
        #expect(try parse("routes: [{path: '\(path)'}]").routes.map(\.path) == [path])
    }

    @Test func aPathMayServeItsMethodsDifferently() throws {
        let settings = try parse(
            "routes: [{path: '/a/{x}', methods: [GET], public: true}, {path: '/a/{y}', methods: [POST, DELETE]}]")
        #expect(settings.routes.map(\.methods) == [["GET"], ["POST", "DELETE"]])
    }

    @Test func thePrefixIsWhatIsAccepted() throws {
        #expect(try parse("keys: {prefix: sk-}").keys.accept == ["sk-"])
        #expect(try parse("keys: {prefix: sk-, accept: ['legacy_', 'sk-*']}").keys.accept == ["legacy_", "sk-*"])
        #expect(try parse("keys: {accept: ['*']}").keys.accept == ["*"])
        #expect(try parse("keys: {forward_meta: []}").keys.forwardedMeta == [])
        #expect(
            try parse("keys: {forward_meta: [tier, home_region]}").keys.forwardedMeta.map(\.header)
                == ["X-Tollgate-Meta-tier", "X-Tollgate-Meta-home-region"])
    }

    @Test func corsOrigins() throws {
        let cors = try parse("cors: {allow_origins: ['https://app.example.com']}").cors
        #expect(
            cors
                == Settings.CORS(
                    allowOrigins: [.exactly("https://app.example.com")], allowsCredentials: false, maxAge: .seconds(600)
                ))
        let full = try parse("cors: {allow_origins: ['http://a:1'], allow_credentials: true, max_age: 0}").cors
        #expect(full == Settings.CORS(allowOrigins: [.exactly("http://a:1")], allowsCredentials: true, maxAge: .zero))
        #expect(try parse("cors: {allow_origins: ['*'], max_age: 86400}").cors?.allowOrigins == [.any])
    }

    @Test(arguments: [
        ("https://App.Example.com", "https://app.example.com"), ("https://a:443", "https://a"),
        ("http://a:80", "http://a"), ("http://a:443", "http://a:443"), ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"), ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("tauri://localhost", "tauri://localhost"),
    ])
    func originsAreReadAsBrowsersWriteThem(text: String, origin: String) throws {
        #expect(try parse("cors: {allow_origins: ['\(text)']}").cors?.allowOrigins == [.exactly(origin)])
    }

    @Test func trustedProxies() throws {
        #expect(try parse("trusted_proxies: []").clients.trustedProxies.isEmpty)
        #expect(
            try parse("trusted_proxies: [10.0.0.0/8, 'fd00::/8', 192.0.2.1, unix]").clients.trustedProxies
                == ["10.0.0.0/8", "fd00::/8", "192.0.2.1", "unix"])
    }

    @Test func plainTextsOfYAML11AreTexts() throws {
        // Octal and sexagesimal numbers, dates: version 1.1 would read something else.
        #expect(try parse("namespace: 010").namespace == "010")
        #expect(try parse("namespace: 2026-11-23").namespace == "2026-11-23")
        #expect(try parse("namespace: 0x10").namespace == "0x10")
    }

    private func parse(_ yaml: String) throws -> Settings {
        try Settings.parse(yaml, named: "t.yaml")
    }
}
