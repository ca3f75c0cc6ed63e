// SPDX-License-Identifier: Apache-2.0

import Endpoints
import TLS
import Testing

@testable import Redis

@Suite struct ServerIdentityTests {
    /// HELLO's answer as Redis 7.0 gives it in RESP2.
    private static func hello(_ version: String, mode: String = "standalone", role: String? = "master") -> RedisReply {
        let words = ["server", "redis", "version", version, "proto"].map { RedisReply.bytes(Array($0.utf8)) }
        let more = ["mode", mode].map { RedisReply.bytes(Array($0.utf8)) }
        let roles = role.map { ["role", $0] } ?? []
        return .array(
            words + [.integer(2), .bytes(Array("id".utf8)), .integer(9)] + more
                + roles.map { .bytes(Array($0.utf8)) } + [.bytes(Array("modules".utf8)), .array([])])
    }

    @Test(
        arguments: [
            (hello("7.0.15"), nil), (hello("7.0.0"), nil), (hello("8.2.1"), nil), (hello("10.0"), nil),
            (hello("9.0.0-rc1"), nil), (hello("unstable"), nil), (hello(""), nil),
            (hello("6.2.14"), .tooOld(version: "6.2.14")), (hello("6.3.4"), .tooOld(version: "6.3.4")),
            (hello("7.0.15", mode: "sentinel", role: nil), .sentinel),
            (hello("6.2.14", mode: "sentinel", role: nil), .sentinel),
            (hello("7.0.15", mode: "cluster"), .clusterNode),
            (hello("7.0.15", mode: "cluster", role: "replica"), .clusterNode),
            (hello("7.0.15", role: "replica"), .replica), (hello("7.0.15", role: nil), nil),
            // What stands before Redis may answer in its own way.
            (.status("OK"), nil), (.array([]), nil), (.array([.bytes(Array("version".utf8))]), nil), (.null, nil),
        ] as [(RedisReply, RedisMisfit?)])
    func isReadFromHello(reply: RedisReply, misfit: RedisMisfit?) {
        #expect(ServerIdentity(hello: reply).misfit(for: .server) == misfit)
    }

    @Test func aNodeOfAClusterMayBeMeant() {
        #expect(ServerIdentity(hello: Self.hello("7.0.15", mode: "cluster")).misfit(for: .clusterNode) == nil)
        let replica = ServerIdentity(hello: Self.hello("7.0.15", mode: "cluster", role: "replica"))
        #expect(replica.misfit(for: .clusterNode) == .replica)
        #expect(replica.misfit(for: .clusterMember) == nil)
    }

    @Test(
        arguments: [
            (hello("7.0.15"), .noCluster), (hello("7.0.15", role: "replica"), .noCluster),
            (hello("7.0.15", mode: "sentinel", role: nil), .sentinel),
            (hello("6.2.14", mode: "cluster"), .tooOld(version: "6.2.14")),
            // It doesn't say what it is, as a proxy may.
            (.status("OK"), nil),
        ] as [(RedisReply, RedisMisfit?)])
    func onlyANodeOfAClusterIsOne(reply: RedisReply, misfit: RedisMisfit?) {
        #expect(ServerIdentity(hello: reply).misfit(for: .clusterNode) == misfit)
        #expect(ServerIdentity(hello: reply).misfit(for: .clusterMember) == misfit)
    }

    @Test(
        arguments: [
            (
                "# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\nrole:master\r\n",
                .tooOld(version: "5.0.14")
            ),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\nrole:master\r\n", nil),
            ("redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:slave\r\n", .replica),
            ("redis_version:7.0.15\r\nredis_mode:sentinel\r\n", .sentinel), ("", nil), ("NONE\r\n:\r\n", nil),
        ] as [(String, RedisMisfit?)])
    func isReadFromInfo(text: String, misfit: RedisMisfit?) {
        #expect(ServerIdentity(info: InfoFields(text)).misfit(for: .server) == misfit)
    }

    @Test(
        arguments: [
            (.tooOld(version: "6.2.14"), "Redis 6.2.14 is too old: 7.0 or later, or Valkey"),
            (.sentinel, "this is a Sentinel: to find the primary by it, write redis+sentinel://HOST:PORT/NAME"),
            (.clusterNode, "this is a node of a cluster: write redis+cluster://HOST:PORT"),
            (.noCluster, "this is no node of a cluster: for one server write redis://"),
            (.noMap("nobody tells"), "nobody tells"),
            (.replica, "this is a replica: give the address of its primary"),
            (.encrypted, "it speaks TLS: begin its URL with rediss://"),
            (insecure(.untrusted), "the certificate of h:1 isn't signed by redis.tls.ca"),
            (
                insecure(.untrusted, ca: nil),
                "the certificate of h:1 isn't signed by an authority that the system trusts (redis.tls.ca)"
            ),
            (insecure(.expired), "the certificate of h:1 has expired"),
            (insecure(.notYetValid), "the certificate of h:1 isn't valid yet; is the clock right?"),
            (insecure(.otherName), "the certificate of h:1 is for other names than n (redis.tls.server_name)"),
            (insecure(.wantsCertificate), "h:1 wants a client certificate (redis.tls.certificate)"),
            (
                insecure(.refusesCertificate("unknown ca")),
                "h:1 refuses the client certificate (redis.tls.certificate): unknown ca"
            ),
            (insecure(.declined), "h:1 declines TLS; does it want a client certificate (redis.tls.certificate)?"),
            (insecure(.declined, identity: .init(certificate: "/a", key: "/b")), "h:1 declines TLS"),
            (insecure(.notTLS), "h:1 doesn't speak TLS there: is it its tls-port?"),
            (insecure(.other("bad record mac")), "no TLS with h:1: bad record mac"),
        ] as [(RedisMisfit, String)])
    func isToldWithWhatToDo(misfit: RedisMisfit, words: String) {
        #expect("\(RedisError.unfit(misfit))" == words)
    }

    private static func insecure(
        _ failure: TLSFailure, ca: String? = "/ca.crt", identity: CertificateFiles.Identity? = nil
    ) -> RedisMisfit {
        .insecure(
            Insecurity(
                failure,
                with: SecuredServer(
                    address: "h:1", name: "n", files: CertificateFiles(authorities: ca, identity: identity),
                    words: .redis)))
    }
}
