// SPDX-License-Identifier: Apache-2.0

import TLS
import Testing

@testable import Redis

@Suite struct RedisFaultTests {
    private static func insecure(_ failure: TLSFailure) -> RedisError {
        .unfit(
            .insecure(
                Insecurity(
                    failure, with: SecuredServer(address: "h:1", name: "h", files: CertificateFiles(), words: .redis))))
    }

    /// What Redis 7 and Valkey 8 write, word for word.
    @Test(
        arguments: [
            (.notConnected("connection refused"), .unreachable), (.timeout, .unreachable),
            (.connectionClosed("connection reset"), .unreachable), (.protocolViolation("no RESP"), .notRedis),
            (.server("NOAUTH Authentication required."), .credentials),
            (.server("WRONGPASS invalid username-password pair or user is disabled."), .credentials),
            (
                .server(
                    "ERR AUTH <password> called without any password configured for the default user. "
                        + "Are you sure your configuration is correct?"), .credentials
            ),
            (.server("NOPERM User web has no permissions to run the 'script|load' command"), .permissions),
            (.server("ERR The user executing the script can't run this command or subcommand"), .permissions),
            (
                .server(
                    "ERR ACL failure in script: User web has no permissions to run the 'set' command "
                        + "script: 7da4cbd, on @user_script:12."), .permissions
            ),
            (.server("DENIED Redis is running in protected mode because protected mode is enabled"), .other),
            (.server("LOADING Redis is loading the dataset in memory"), .busy),
            (.server("BUSY Redis is busy running a script."), .busy),
            (.server("READONLY Can not run script with write flag on readonly replica."), .replica),
            (.server("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), .replica),
            (
                .server(
                    "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"),
                .memory
            ),
            (.server("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to"), .persistence),
            (.server("NOREPLICAS Not enough good replicas to write."), .persistence),
            (.server("ERR max number of clients reached"), .clients),
            (.server("ERR DB index is out of range"), .database),
            (.server("WRONGTYPE Operation against a key holding the wrong kind of value"), .other),
            (.server("ERR unknown command 'EVALSHA'"), .other), (.server(""), .other),
            (insecure(.untrusted), .untrusted), (insecure(.expired), .untrusted), (insecure(.notYetValid), .untrusted),
            (insecure(.otherName), .untrusted), (insecure(.wantsCertificate), .certificate),
            (insecure(.refusesCertificate("unknown ca")), .certificate), (insecure(.declined), .handshake),
            (insecure(.notTLS), .handshake), (insecure(.other("bad record")), .handshake),
            (.unfit(.encrypted), .encrypted), (.unfit(.tooOld(version: "6.2.14")), .tooOld),
            (.unfit(.sentinel), .sentinel), (.unfit(.clusterNode), .clusterNode), (.unfit(.replica), .replica),
            (.unfit(.noSentinel), .primaryUnknown), (.unfit(.noPrimary("")), .primaryUnknown),
            (.unfit(.failingOver("")), .primaryUnknown),
            (.unfit(.noCluster), .noCluster), (.unfit(.noMap("")), .mapUnknown),
        ] as [(RedisError, RedisFault)])
    func isTakenFromWhatTheServerSays(error: RedisError, fault: RedisFault) {
        #expect(error.fault == fault)
    }

    /// What Redis 5, 6.2, 7.0 and Valkey 8 add to a line: what they were sent, and of a script.
    @Test(
        arguments: [
            ("ERR unknown command 'AUTH', with args beginning with: 'app' 'secret' ", "ERR unknown command 'AUTH'"),
            ("ERR unknown command `HELLO`, with args beginning with: `2`, `secret`, ", "ERR unknown command `HELLO`"),
            (
                "ERR unknown subcommand or wrong number of arguments for 'LOAD', with args beginning with: '#!lua'",
                "ERR unknown subcommand or wrong number of arguments for 'LOAD'"
            ),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value script: 7da4cb, on @user_script:12.",
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            ),
            (
                "ERR user_script:3: attempt to index field 'secret' script: 7da4cb, on @user_script:3.",
                "ERR user_script:3: attempt to index field 'secret'"
            ),
            (
                "ERR Error compiling script (new function): user_script:2: '=' expected near 'secret'",
                "ERR Error compiling script (new function): user_script:2: '=' expected"
            ),
            ("NOAUTH Authentication required.", "NOAUTH Authentication required."), ("", ""),
        ])
    func whatIsQuotedIsNotShown(line: String, shown: String) {
        #expect(RedisError.server(showing: line) == .server(shown))
    }
}
