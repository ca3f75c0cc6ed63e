// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `org list | show` and `key list | show | verify`, as programs and people read them where there is no terminal.
@Suite struct ListingTests {
    private static let key = "mcp_" + String(repeating: "k", count: 43)

    /// A directory whose times are known: acme with three keys, and bravo, suspended, without any.
    private func withDirectory(_ body: (Tollgatectl, RedisServer) async throws -> Void) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            let organization = ["rev", "1", "created_at", "1763866666"]
            _ = try await server.cli(["HSET", "tg:1:{bravo}", "status", "suspended"] + organization)
            _ = try await server.cli(["HSET", "tg:1:{acme}", "status", "active", "limits", "org=7/s"] + organization)
            let digest = try await server.cli("EVAL", "return redis.sha1hex('')", "0")
            let record = ["created_by_user_id", "", "is_active", "1", "key_hash", digest, "created_at", "1763866666"]
            let keys = [
                ("aaaaaaaaaa", ["name", "laptop", "created_by_user_id", "ada"]),
                ("bbbbbbbbbb", ["name", "CI, \"old\"", "is_active", "0", "revoked_at", "1763866999"]),
                ("cccccccccc", ["name", "名前", "expires_at", "4000000000", "limits", "search=5/m"]),
            ]
            for (number, (id, fields)) in keys.enumerated() {
                _ = try await server.cli(["HSET", "tg:1:{acme}:k:\(id)", "subject", id] + record + fields)
                _ = try await server.cli("ZADD", "tg:1:{acme}:keys", "\(1_763_866_666 + number)", id)
            }
            _ = try await server.cli("ZADD", "tg:1:{acme}:active", "+inf", "aaaaaaaaaa", "4000000000", "cccccccccc")
            try await body(tollgatectl, server)
        }
    }

    @Test func organizations() async throws {
        try await withDirectory { tollgatectl, _ in
            equal(
                try await tollgatectl("org", "list"),
                .init(
                    code: 0,
                    output: """
                        ORGANIZATION  STATUS     ACTIVE KEYS  ALL KEYS  CREATED
                        acme          active               2         3  2025-11-23
                        bravo         suspended            0         0  2025-11-23

                        """, errors: ""))
            let acme = """
                {"org":"acme","status":"active","plan":null,"active_keys":2,"keys":3,"max_active_keys":null,\
                "limits":{"org":"7/s"},\
                "max_lifetime_seconds":null,"meta":null,"created_at":"2025-11-23T02:57:46Z"}

                """
            let bravo = """
                {"org":"bravo","status":"suspended","plan":null,"active_keys":0,"keys":0,"max_active_keys":null,\
                "limits":{},"max_lifetime_seconds":null,"meta":null,"created_at":"2025-11-23T02:57:46Z"}

                """
            equal(try await tollgatectl("org", "list", "--json"), .init(code: 0, output: acme + bravo, errors: ""))
            equal(try await tollgatectl("org", "show", "acme", "--json"), .init(code: 0, output: acme, errors: ""))
            equal(
                try await tollgatectl("org", "show", "acme"),
                .init(
                    code: 0,
                    output: """
                        Organization: acme
                        Status:       active
                        Active keys:  2
                        All keys:     3
                        Plan:         -
                        Own limits:   org=7/s
                        Created:      2025-11-23T02:57:46Z

                        """, errors: ""))
        }
    }

    @Test func keys() async throws {
        try await withDirectory { tollgatectl, _ in
            let table = """
                ID               NAME       USER  STATUS   CREATED     EXPIRES     LAST USED  KEY
                acme/aaaaaaaaaa  laptop     ada   active   2025-11-23  never       -          …aaaaaaaaaa
                acme/bbbbbbbbbb  CI, "old"  -     revoked  2025-11-23  2025-11-23  -          …bbbbbbbbbb
                acme/cccccccccc  名前       -     active   2025-11-23  2096-10-02  -          …cccccccccc

                """
            for arguments in [["key", "list"], ["key", "list", "--org", "acme"]] {
                equal(try await tollgatectl.run(arguments), .init(code: 0, output: table, errors: ""))
            }
            let active = try await tollgatectl("key", "list", "--active", "--json").output
            #expect(
                active == """
                    {"id":"acme/aaaaaaaaaa","org":"acme","name":"laptop","user":"ada","status":"active",\
                    "subject":"aaaaaaaaaa","limits":{},"tools":{"allow":[],"deny":[]},"scopes":[],"allow_from":[],\
                    "created_at":"2025-11-23T02:57:46Z","not_before":null,"expires_at":null,"ends_at":null,\
                    "revoked_at":null,\
                    "rotated_to":null,"last_used_at":null,"check":null,"meta":null,\
                    "told_within":[]}
                    {"id":"acme/cccccccccc","org":"acme","name":"名前","user":null,"status":"active",\
                    "subject":"cccccccccc","limits":{"search":"5/m"},"tools":{"allow":[],"deny":[]},"scopes":[],"allow_from":[],\
                    "created_at":"2025-11-23T02:57:46Z","not_before":null,"expires_at":"2096-10-02T07:06:40Z",\
                    "ends_at":"2096-10-02T07:06:40Z",\
                    "revoked_at":null,"rotated_to":null,"last_used_at":null,"check":null,"meta":null,\
                    "told_within":[]}

                    """)
            equal(
                try await tollgatectl("key", "show", "acme/bbbbbbbbbb"),
                .init(
                    code: 0,
                    output: """
                        Key:        acme/bbbbbbbbbb
                        Name:       CI, "old"
                        User:       -
                        Status:     revoked
                        Own limits: -
                        Created:    2025-11-23T02:57:46Z
                        Expires:    2025-11-23T03:03:19Z
                        Revoked:    2025-11-23T03:03:19Z

                        """, errors: ""))
        }
    }

    @Test func whatIsNotThereIs66() async throws {
        try await withDirectory { tollgatectl, _ in
            let noOrganization = """
                tollgatectl: organization nobody does not exist; create it with: tollgatectl org create nobody

                """
            for arguments in [
                ["org", "show", "nobody"], ["key", "list", "--org", "nobody"], ["quota", "show", "nobody"],
            ] {
                equal(try await tollgatectl.run(arguments), .init(code: 66, output: "", errors: noOrganization))
            }
            for noun in ["key", "quota"] {
                equal(
                    try await tollgatectl(noun, "show", "acme/zzzzzzzzzz"),
                    .init(code: 66, output: "", errors: "tollgatectl: key acme/zzzzzzzzzz does not exist\n"))
            }
        }
    }

    @Test func anEmptyListSaysWhatIsNext() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            equal(
                try await tollgatectl("org", "list"),
                .init(code: 0, output: "", errors: "No organizations yet. Next: tollgatectl org create NAME\n"))
            equal(
                try await tollgatectl("key", "list"),
                .init(
                    code: 0, output: "",
                    errors: "No keys yet. Next: tollgatectl key issue --org NAME --name laptop\n"))
            for noun in ["org", "key"] {
                equal(try await tollgatectl(noun, "list", "--json"), .init(code: 0, output: "", errors: ""))
            }
        }
    }

    /// With more of them than a page, and than a pipe holds.
    @Test func listsAreWholeAndSortedHoweverLong() async throws {
        try await RedisServer.run { server in
            _ = try await server.cli(
                "EVAL",
                "for i = 1, 2500 do redis.call('HSET', 'tg:1:{org-' .. i .. '}', 'rev', '1', 'status', 'active') end",
                "0")
            let outcome = try await Tollgatectl(url: server.url).shell(
                "tollgatectl org list --json | cut -d'\"' -f4 > \"$0\"; LC_ALL=C sort -c \"$0\"; wc -l < \"$0\"; rm \"$0\"",
                FileManager.default.temporaryDirectory.appending(path: "tollgate-\(UUID().uuidString)").path)
            #expect(outcome == .init(code: 0, output: "2500\n", errors: ""))
        }
    }

    /// As `| head` leaves it: whoever closes the pipe has seen enough.
    @Test func aListThatNobodyReadsToItsEndIsNoFailure() async throws {
        try await withDirectory { tollgatectl, _ in
            for list in ["org list", "key list", "key list --json"] {
                let outcome = try await tollgatectl.shell(
                    """
                    folder=$(mktemp -d); mkfifo "$folder/pipe"
                    exec 3<>"$folder/pipe" 4>"$folder/pipe" 3>&-; rm -r "$folder"
                    tollgatectl \(list) >&4
                    """)
                #expect(outcome == .init(code: 0, output: "", errors: ""))
            }
            let full = try await tollgatectl.shell("tollgatectl key list > /dev/full")
            #expect(full.code == 74)
        }
    }

    /// Others may write to Redis too; a terminal would obey what they put into a name.
    @Test func controlCharactersAreShownAndNotSent() async throws {
        try await withDirectory { tollgatectl, server in
            _ = try await server.cli(
                "EVAL",
                #"return redis.call('HSET', 'tg:1:{acme}:k:aaaaaaaaaa', 'name', 'a\27[2J\r\n\194\1552J', 'created_by_user_id', '\226\128\174b')"#,
                "0")
            let shown = try await tollgatectl("key", "show", "acme/aaaaaaaaaa").output
            #expect(shown.contains("Name:       a\\u{1B}[2J\\u{D}\\u{A}\\u{9B}2J\n"), "\(shown)")
            #expect(shown.contains("User:       \\u{202E}b\n"), "\(shown)")
            let listed = try await tollgatectl("key", "list", "--org", "acme").output
            #expect(listed.split(separator: "\n").count == 4)
            #expect(listed.contains("acme/aaaaaaaaaa  a\\u{1B}[2J\\u{D}\\u{A}\\u{9B}2J  \\u{202E}b "), "\(listed)")
            let json = try await tollgatectl("key", "show", "acme/aaaaaaaaaa", "--json").output
            #expect(json.contains(#""name":"a\u001b[2J\r\n\u009b2J","user":"\u202eb""#), "\(json)")
        }
    }

    // MARK: verify

    private func verify(_ tollgatectl: Tollgatectl, _ input: String, _ options: String = "") async throws
        -> Tollgatectl.Outcome
    {
        try await tollgatectl.shell("printf '\(input)' | tollgatectl key verify \(options)")
    }

    @Test func aKeyIsVerifiedFromStandardInput() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            _ = try await tollgatectl("org", "create", "acme")
            let issued = try await tollgatectl("key", "issue", "--org", "acme", "--name", "a").output
            let key = String(issued.prefix(while: { $0 != "\n" }))
            let id = try #require(issued.firstMatch(of: /acme\/[a-z2-7]{10}/)).output
            let shown = try await tollgatectl("key", "show", String(id))
            for input in [key, key + "\\n", "  \(key) \\r\\nmore\\n"] {
                let verified = Tollgatectl.Outcome(code: 0, output: shown.output + "Check:      right\n", errors: "")
                equal(try await verify(tollgatectl, input), verified)
            }
            let json = try await tollgatectl("key", "show", String(id), "--json")
            let verified = try await verify(tollgatectl, key, "--json")
            #expect((verified.code, verified.errors) == (0, ""))
            // No sidecar has said what it takes for a key.
            let record = try #require(json.output.split(separator: #","refused":"#).first)
            #expect(verified.output == record + #","accepted":null,"proven":true}"# + "\n")

            _ = try await tollgatectl("key", "revoke", String(id))
            let revoked = try await verify(tollgatectl, key)
            #expect(revoked.code == 73)
            #expect(revoked.errors == "tollgatectl: key \(id) does not hold: revoked\n")
            #expect(revoked.output.contains("Status:     revoked\n"))
            #expect(!(revoked.output + revoked.errors).contains(key))
        }
    }

    @Test func anUnknownKeyIs66AndNoKeyIs65() async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            let unknown = "tollgatectl: no such key here; is it whole, and is this the Redis it was issued in?\n"
            equal(try await verify(tollgatectl, Self.key), .init(code: 66, output: "", errors: unknown))
            let none = "tollgatectl: no key was given; type it at the prompt, or send it to standard input\n"
            for input in ["", "\\n", "  \\n"] {
                equal(try await verify(tollgatectl, input), .init(code: 65, output: "", errors: none))
            }
            // A file given by mistake is neither held in memory nor read to its end.
            equal(
                try await tollgatectl.shell("tollgatectl key verify < /dev/zero"),
                .init(
                    code: 65, output: "",
                    errors: "tollgatectl: that is no key: its line has more than 65536 octets\n"))
        }
    }
}
