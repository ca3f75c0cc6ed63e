// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Foundation
import Octets
import Settings
import Testing

@Suite struct PrecedenceTests {
    private static let yaml = """
        listen: 127.0.0.1:1001
        upstream: {url: http://file:1, connect_timeout: 7s}
        redis: {url: redis://file:1}
        admin: 127.0.0.1:1002
        log: {level: debug}
        namespace: file
        """
    private static let environment = [
        "TOLLGATE_LISTEN": "127.0.0.1:2001", "TOLLGATE_UPSTREAM": "http://variable:2",
        "TOLLGATE_REDIS_URL": "redis://variable:2", "TOLLGATE_ADMIN": "127.0.0.1:2002",
        "TOLLGATE_LOG_LEVEL": "warning", "TOLLGATE_NAMESPACE": "variable", "TOLLGATE_UNRELATED": "x",
    ]
    private static let flags: [ConfigurationSources.Option: String] = [
        .listen: "127.0.0.1:3001", .upstream: "http://flag:3", .redis: "redis://flag:3", .admin: "127.0.0.1:3002",
        .logLevel: "error", .namespace: "flag",
    ]

    @Test func theFileBeatsTheDefaults() throws {
        let settings = try load(Self.yaml)
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 1001)])
        #expect(settings.upstream.location == .tcp(host: "file", port: 1))
        #expect(settings.redis.endpoint == RedisEndpoint(.tcp(host: "file", port: 1)))
        #expect(settings.admin == Settings.TCPAddress(host: "127.0.0.1", port: 1002))
        #expect(settings.log.level == .debug)
        #expect(settings.namespace == "file")
    }

    @Test func theEnvironmentBeatsTheFile() throws {
        let settings = try load(Self.yaml, environment: Self.environment)
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 2001)])
        #expect(settings.upstream.location == .tcp(host: "variable", port: 2))
        #expect(settings.upstream.connectTimeout == .seconds(7))
        #expect(settings.redis.endpoint == RedisEndpoint(.tcp(host: "variable", port: 2)))
        #expect(settings.admin == Settings.TCPAddress(host: "127.0.0.1", port: 2002))
        #expect(settings.log.level == .warning)
        #expect(settings.namespace == "variable")
    }

    @Test func flagsBeatTheEnvironment() throws {
        let settings = try load(Self.yaml, flags: Self.flags, environment: Self.environment)
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 3001)])
        #expect(settings.upstream.location == .tcp(host: "flag", port: 3))
        #expect(settings.redis.endpoint == RedisEndpoint(.tcp(host: "flag", port: 3)))
        #expect(settings.admin == Settings.TCPAddress(host: "127.0.0.1", port: 3002))
        #expect(settings.log.level == .error)
        #expect(settings.namespace == "flag")
    }

    /// The flag's file has the last word; empty, the variable names none.
    @Test func aVariableNamesTheFile() throws {
        try withFile(Data("namespace: first".utf8)) { first in
            try withFile(Data("namespace: second".utf8)) { second in
                func namespace(_ file: String?, _ variable: String) throws -> String {
                    try Settings.load(ConfigurationSources(file: file, environment: ["TOLLGATE_CONFIG": variable]))
                        .namespace
                }
                #expect(try namespace(nil, first) == "first")
                #expect(try namespace(second, first) == "second")
                #expect(try namespace(nil, "") == "tg")
                let error = try #require(throws: ConfigurationError.self) { try namespace(nil, "no/such.yaml") }
                #expect(error.lines[0].hasPrefix("no/such.yaml: "), "\(error.lines)")
            }
        }
    }

    @Test func noFileIsNeeded() throws {
        let settings = try Settings.load(ConfigurationSources(flags: [.upstream: "http://[::1]:3000/", .admin: "off"]))
        #expect(settings.upstream.location == .tcp(host: "::1", port: 3000))
        #expect(settings.admin == nil)
    }

    @Test func anEmptyVariableIsNone() throws {
        let settings = try Settings.load(
            ConfigurationSources(environment: ["TOLLGATE_LISTEN": "", "TOLLGATE_REDIS_URL": ""]))
        #expect(try settings == Settings.load())
    }

    /// Files of secrets end in a line feed, and so do variables that are made of them.
    @Test func whiteSpaceAroundAVariableIsPassedOver() throws {
        let settings = try Settings.load(
            ConfigurationSources(environment: [
                "TOLLGATE_REDIS_URL": "redis://:geheim@redis:6379/2\n", "TOLLGATE_UPSTREAM": " http://app:3000\r\n",
                "TOLLGATE_LISTEN": "127.0.0.1:1, 127.0.0.1:2\n", "TOLLGATE_ADMIN": "\n",
                "TOLLGATE_LOG_LEVEL": "\tdebug ",
            ]))
        #expect(
            settings.redis.endpoint == RedisEndpoint(.tcp(host: "redis", port: 6379), password: "geheim", database: 2))
        #expect(settings.upstream.location == .tcp(host: "app", port: 3000))
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 1), .tcp(host: "127.0.0.1", port: 2)])
        #expect(try settings.admin == Settings.load().admin)
        #expect(settings.log.level == .debug)
    }

    /// Who set them has expanded what was to be, and a password may be anything.
    @Test func whatLooksLikeAVariableIsOneOfTheFileAlone() throws {
        let url = "redis://:pw${x}@redis:6379/1"
        let expected = RedisEndpoint(.tcp(host: "redis", port: 6379), password: "pw${x}", database: 1)
        let sources = [
            ConfigurationSources(flags: [.redis: url]),
            ConfigurationSources(environment: ["TOLLGATE_REDIS_URL": url]),
        ]
        for source in sources { #expect(try Settings.load(source).redis.endpoint == expected) }
        #expect(try load("redis: {url: 'redis://:pw%24{x}@redis/1'}").redis.endpoint == expected)
        let error = try #require(throws: ConfigurationError.self) {
            try Settings.parse("redis: {url: '\(url)'}", named: "t.yaml")
        }
        #expect(
            error.lines == [
                "t.yaml:1:14: redis.url: expected a Redis URL such as redis://127.0.0.1:6379/0 or unix:/run/redis.sock, got "
                    + "'redis://***@redis:6379/1' (variables aren't expanded here; TOLLGATE_REDIS_URL sets this key; a $ "
                    + "of the URL itself is written %24)"
            ])
    }

    /// As a block of YAML, or in quotes.
    @Test func whiteSpaceAroundAURLIsPassedOver() throws {
        let settings = try load("redis: {url: \"redis://redis/1 \"}\nupstream:\n  url: |\n    http://app:3000\n")
        #expect(settings.redis.endpoint == RedisEndpoint(.tcp(host: "redis", port: 6379), database: 1))
        #expect(settings.upstream.location == .tcp(host: "app", port: 3000))
    }

    @Test func severalAddressesAreSeparatedByCommas() throws {
        let settings = try Settings.load(
            ConfigurationSources(flags: [.listen: "127.0.0.1:1,[::1]:1"]))
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 1), .tcp(host: "::1", port: 1)])
    }

    @Test func whatIsWrongNamesItsSource() {
        let sources = ConfigurationSources(
            flags: [.listen: "127.0.0.1:1,80", .redis: "redis://:geheim@h:x"],
            environment: ["TOLLGATE_LOG_LEVEL": "loud", "TOLLGATE_ADMIN": "on"])
        #expect(throws: ConfigurationError.self) { try Settings.load(sources) }
        do { _ = try Settings.load(sources) } catch {
            #expect(
                error.lines == [
                    "TOLLGATE_ADMIN: expected an address such as 127.0.0.1:9901, or off, got on "
                        + "(did you mean 127.0.0.1:9901?)",
                    "TOLLGATE_LOG_LEVEL: expected debug, info, warning or error, got 'loud'",
                    "--listen: expected an address such as 127.0.0.1:8080, got 80 (did you mean 127.0.0.1:80?)",
                    "--redis: expected a Redis URL such as redis://127.0.0.1:6379/0 or unix:/run/redis.sock, "
                        + "got one that can't be used: port is no number from 1 to 65535",
                ])
        }
    }

    @Test func aWrongFileIsToldEvenWhereAFlagCounts() throws {
        let error = try #require(throws: ConfigurationError.self) {
            try load("listen: 80\n", flags: [.listen: "127.0.0.1:1"])
        }
        #expect(error.problems.count == 1)
        #expect(error.lines[0].contains(":1:9: listen: expected an address such as 127.0.0.1:8080, got 80"))
    }

    private func load(
        _ yaml: String, flags: [ConfigurationSources.Option: String] = [:], environment: [String: String] = [:]
    ) throws -> Settings {
        try withFile(Data(yaml.utf8)) { path in
            try Settings.load(ConfigurationSources(file: path, flags: flags, environment: environment))
        }
    }
}

/// A file of these octets for as long as `body` takes.
func withFile<Value>(_ contents: Data, _ body: (_ path: String) throws -> Value) throws -> Value {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("tollgate-\(UUID().uuidString).yaml")
    try contents.write(to: url)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url.path)
}
