// SPDX-License-Identifier: Apache-2.0

import Endpoints
import TLS
import Testing

@Suite struct RedisEndpointTests {
    @Test(arguments: [
        ("redis://127.0.0.1:6380/2", RedisEndpoint(.tcp(host: "127.0.0.1", port: 6380), database: 2)),
        ("redis://redis", RedisEndpoint(.tcp(host: "redis", port: 6379))),
        ("redis://redis/", RedisEndpoint(.tcp(host: "redis", port: 6379))),
        ("redis://redis:7/0", RedisEndpoint(.tcp(host: "redis", port: 7))),
        (
            "valkey://app:secret@h:7/1",
            .init(.tcp(host: "h", port: 7), username: "app", password: "secret", database: 1)
        ),
        ("rediss://h", .init(.tcp(host: "h", port: 6379), security: ServerTrust())),
        (
            "valkeys://app:secret@[::1]:7/1",
            .init(
                .tcp(host: "::1", port: 7), username: "app", password: "secret", database: 1,
                security: ServerTrust())
        ),
        ("redis://[::1]/1", RedisEndpoint(.tcp(host: "::1", port: 6379), database: 1)),
        ("redis://[fe80::1%eth0]", RedisEndpoint(.tcp(host: "fe80::1%eth0", port: 6379))),
        ("redis://my_redis.example.", RedisEndpoint(.tcp(host: "my_redis.example.", port: 6379))),
        ("redis://[2001:db8::7]:6380", RedisEndpoint(.tcp(host: "2001:db8::7", port: 6380))),
        ("redis://app:se%40cr%3Aet%2F@h:1/0", .init(.tcp(host: "h", port: 1), username: "app", password: "se@cr:et/")),
        ("redis://app:a:b@h", RedisEndpoint(.tcp(host: "h", port: 6379), username: "app", password: "a:b")),
        ("redis://app:a@b@h", RedisEndpoint(.tcp(host: "h", port: 6379), username: "app", password: "a@b")),
        ("redis://:secret@h", RedisEndpoint(.tcp(host: "h", port: 6379), password: "secret")),
        ("redis://app:@h", RedisEndpoint(.tcp(host: "h", port: 6379), username: "app", password: "")),
        ("redis://%C3%BC:%F0%9F%94%91@h", .init(.tcp(host: "h", port: 6379), username: "ü", password: "🔑")),
        ("unix:/run/redis.sock", RedisEndpoint(.unix(path: "/run/redis.sock"))),
        ("unix:///run/redis.sock", RedisEndpoint(.unix(path: "/run/redis.sock"))),
        ("unix:/run/redis.sock?db=3", RedisEndpoint(.unix(path: "/run/redis.sock"), database: 3)),
        ("unix:///run/a@b.sock", RedisEndpoint(.unix(path: "/run/a@b.sock"))),
        ("unix:/run/a%20b%3F.sock", RedisEndpoint(.unix(path: "/run/a b?.sock"))),
        (
            "unix://app:secret@/run/r.sock?db=1",
            RedisEndpoint(.unix(path: "/run/r.sock"), username: "app", password: "secret", database: 1)
        ),
        ("unix://:secret@/run/r.sock", RedisEndpoint(.unix(path: "/run/r.sock"), password: "secret")),
        ("redis+sentinel://h1/mymaster", RedisEndpoint(sentinels("mymaster", ("h1", 26379)))),
        (
            "valkeys-sentinel://app:s%40cret@h1:1,h2,[::1]:3,h2/my.master-1/7",
            RedisEndpoint(
                sentinels("my.master-1", ("h1", 1), ("h2", 26379), ("::1", 3)), username: "app", password: "s@cret",
                database: 7, security: ServerTrust())
        ),
        ("redis+cluster://h1", RedisEndpoint(cluster(("h1", 6379)))),
        ("redis-cluster://h1:7,h2,h1:7/", RedisEndpoint(cluster(("h1", 7), ("h2", 6379)))),
        ("valkey+cluster://h1,[2001:db8::7]:7/0", RedisEndpoint(cluster(("h1", 6379), ("2001:db8::7", 7)))),
        ("valkey-cluster://:secret@h1", RedisEndpoint(cluster(("h1", 6379)), password: "secret")),
        ("rediss+cluster://h1", RedisEndpoint(cluster(("h1", 6379)), security: ServerTrust())),
        ("rediss-cluster://h1", RedisEndpoint(cluster(("h1", 6379)), security: ServerTrust())),
        ("valkeys-cluster://h1", RedisEndpoint(cluster(("h1", 6379)), security: ServerTrust())),
        (
            "valkeys+cluster://app:s%40cret@h1:1,h2/0",
            RedisEndpoint(
                cluster(("h1", 1), ("h2", 6379)), username: "app", password: "s@cret", security: ServerTrust())
        ),
        (
            "redis+cluster://\((1...16).map { "h\($0)" }.joined(separator: ","))",
            RedisEndpoint(.cluster(ClusterSeeds(hosts: (1...16).map { ServerAddress(host: "h\($0)", port: 6379) })))
        ),
    ])
    func reads(_ text: String, _ endpoint: RedisEndpoint) throws {
        #expect(try RedisEndpoint(parsing: text) == endpoint)
    }

    private static func cluster(_ hosts: (String, Int)...) -> RedisEndpoint.Address {
        .cluster(ClusterSeeds(hosts: hosts.map { ServerAddress(host: $0.0, port: $0.1) }))
    }

    private static func sentinels(_ name: String, _ hosts: (String, Int)...) -> RedisEndpoint.Address {
        .sentinels(SentinelGroup(of: name, at: hosts.map { ServerAddress(host: $0.0, port: $0.1) }))
    }

    private static let expected = "expected redis://host:port/database, rediss:// for TLS, or unix:/path"
    private static let badHost =
        "host has an octet that no host name has; user, password and database go before and behind"
    private static let severalHosts =
        "it lists several hosts: with sentinels write redis+sentinel://h1,h2/NAME, for a cluster redis+cluster://h1,h2, "
        + "else the primary alone"
    private static let noName =
        "expected the name that the sentinels know the primary by: redis+sentinel://h1,h2/NAME"
    private static let badPort = "port is no number from 1 to 65535"

    @Test(arguments: [
        ("", expected),
        ("127.0.0.1:6379", expected),
        ("http://127.0.0.1", expected),
        ("redis:/127.0.0.1", expected),
        ("rediss:/h", expected),
        ("rediss://h1,h2", severalHosts),
        ("valkeys://h/x", "database is no number"),
        ("redis-sentinel://h", noName),
        ("redis+sentinel://h1,h2/", noName),
        ("redis+sentinel://h1,h2/0", noName),
        ("redis+sentinel://h1,h2/a b", noName),
        ("redis+sentinel://h1,h2/m/x", "database is no number"),
        ("redis+sentinel://h1,,h2/m", "host is missing"),
        ("rediss+sentinel://h1,h2?x/m", badHost),
        (
            "redis+sentinel://\((1...17).map { "h\($0)" }.joined(separator: ","))/m",
            "it lists more than 16 sentinels"
        ),
        ("redis+cluster://", "host is missing"),
        ("redis+cluster://h1,", "host is missing"),
        ("redis+cluster://h1,h2/1", "a cluster has database 0 alone"),
        ("redis-cluster://h1/mymaster", "database is no number"),
        ("valkey+cluster://h1:0", badPort),
        ("rediss+cluster://h1?tls=1", badHost),
        ("rediss+cluster://::1", "an IPv6 address needs brackets: [::1]:6379"),
        ("valkeys-cluster://app@h1", "expected user:password before @; a password alone is :password@"),
        ("redis+clusters://h1", expected),
        (
            "redis+cluster://\((1...17).map { "h\($0)" }.joined(separator: ","))",
            "it lists more than 16 nodes: name a few, which know the others"
        ),
        ("redis://", "host is missing"),
        ("redis://:6379", "host is missing"),
        ("redis://app:secret@:6379", "host is missing"),
        ("redis://h?password=secret", badHost),
        ("redis://h?db=1/2", badHost),
        ("redis://h#1", badHost),
        ("redis://h 1", badHost),
        ("redis://h1,h2:1/0", severalHosts),
        ("valkey://app:secret@h1:26379,h2:26379,[::1]/0", severalHosts),
        ("redis://ü", badHost),
        ("redis://[]", "host is missing"),
        ("redis://[h]", "no IPv6 address between [ and ]"),
        ("redis://[127.0.0.1]", "no IPv6 address between [ and ]"),
        ("redis://[::1?password=secret]", "no IPv6 address between [ and ]"),
        ("redis://h:0", badPort),
        ("redis://h:65536", badPort),
        ("redis://h:+1", badPort),
        ("redis://h:six", badPort),
        ("redis://h:99999999999999999999", badPort),
        ("redis://h/-1", "database is no number"),
        ("redis://h/+1", "database is no number"),
        ("redis://h/one", "database is no number"),
        ("redis://h/1/2", "database is no number"),
        ("redis://h/99999999999", "database is no number"),
        ("redis://::1:6379", "an IPv6 address needs brackets: [::1]:6379"),
        ("redis://[::1", "expected ] at the end of an IPv6 address"),
        ("redis://[::1]6379", "expected :port after ]"),
        ("redis://app@h", "expected user:password before @; a password alone is :password@"),
        ("redis://app:%zz@h", "password has a % that is not followed by two hexadecimal digits"),
        ("redis://app:%2@h", "password has a % that is not followed by two hexadecimal digits"),
        ("redis://app:%ff@h", "password is no UTF-8 text"),
        ("redis://%00:x@h", "user is no UTF-8 text"),
        ("unix:", "expected an absolute path after unix:"),
        ("unix:redis.sock", "expected an absolute path after unix:"),
        ("unix://app:secret@redis.sock", "expected an absolute path after unix:"),
        ("unix:/r.sock?database=1", "expected ?db=N after the socket path"),
        ("unix:/r.sock?db=", "database is no number"),
        ("unix:/\(String(repeating: "x", count: 107))", "socket path is longer than 107 bytes"),
    ])
    func refuses(_ text: String, _ reason: String) {
        let error = #expect(throws: RedisEndpointError.self) { try RedisEndpoint(parsing: text) }
        #expect(error?.description == reason)
    }

    @Test(arguments: [
        ("redis://app:secret@h:1/2", "redis://app@h:1/2"),
        ("redis://:secret@[::1]", "redis://[::1]:6379/0"),
        ("valkeys://app:secret@h", "rediss://app@h:6379/0"),
        ("valkey-cluster://app:secret@h1,[::1]:7/0", "redis+cluster://app@h1:6379,[::1]:7"),
        ("valkeys+cluster://h1", "rediss+cluster://h1:6379"),
        ("unix://app:secret@/r.sock?db=1", "unix:/r.sock?db=1"),
        ("unix:/r.sock", "unix:/r.sock"),
    ])
    func isShownWithoutItsPassword(_ text: String, _ shown: String) throws {
        let endpoint = try RedisEndpoint(parsing: text)
        #expect("\(endpoint)" == shown)
        #expect(!String(reflecting: endpoint).contains("secret"))
        var dumped = ""
        dump(endpoint, to: &dumped)
        #expect(!dumped.contains("secret"))
    }

    @Test func itsNodesAreKnownByWhatItSays() throws {
        let endpoint = try RedisEndpoint(parsing: "rediss+cluster://app:secret@h1,h2:7")
        #expect(endpoint.seeds?.hosts == [ServerAddress(host: "h1", port: 6379), ServerAddress(host: "h2", port: 7)])
        let address = RedisEndpoint.Address.tcp(host: "h9", port: 9)
        var node = RedisEndpoint(
            address, username: "app", password: "secret", security: ServerTrust(), kind: .clusterNode)
        #expect(endpoint.node(at: ServerAddress(host: "h9", port: 9)) == node)
        node.kind = .clusterMember
        #expect(endpoint.member(at: ServerAddress(host: "h9", port: 9)) == node)
        #expect(try RedisEndpoint(parsing: "redis://h1").seeds == nil)
        #expect(try RedisEndpoint(parsing: "redis+sentinel://h1/m").seeds == nil)
    }
}
