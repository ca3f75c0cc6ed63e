// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

private struct Issued: Decodable {
    var key: String
    var id: String
}

@Suite struct KeyRevocationTests {
    /// Two organizations with three keys, in the order of their making.
    private func withKeys(_ body: (Tollgatectl, RedisServer, [Issued]) async throws -> Void) async throws {
        try await RedisServer.run { server in
            let tollgatectl = Tollgatectl(url: server.url)
            for name in ["acme", "globex"] { #expect(try await tollgatectl("org", "create", name).code == 0) }
            var keys: [Issued] = []
            for (org, name, user) in [("acme", "ci-1", "ada"), ("acme", "laptop", "bob"), ("globex", "ci-2", "ada")] {
                let issued = try await tollgatectl(
                    "key", "issue", "--org", org, "--name", name, "--user", user, "--json")
                keys.append(try JSONDecoder().decode(Issued.self, from: Data(issued.output.utf8)))
            }
            try await body(tollgatectl, server, keys)
        }
    }

    private func active(_ tollgatectl: Tollgatectl) async throws -> Set<String> {
        let listed = try await tollgatectl.shell("tollgatectl key list --active --json | jq -r .id")
        return Set(listed.output.split(separator: "\n").map(String.init))
    }

    @Test(arguments: [
        (["--where", "user=ada"], [1]), (["--where", "name=ci-*"], [1]), (["--org", "acme"], [2]),
        (["--org", "acme", "--where", "user=ada"], [1, 2]), (["--where", "user=a*", "--where", "org=globex"], [0, 1]),
        (["--where", "user=nobody"], [0, 1, 2]),
    ])
    func aFilterIsRevokedWithItsReason(filter: [String], left: [Int]) async throws {
        try await withKeys { tollgatectl, _, keys in
            let outcome = try await tollgatectl.run(["key", "revoke", "--yes", "--reason", "gone away"] + filter)
            let count = keys.count - left.count
            #expect((outcome.code, outcome.errors) == (0, ""))
            #expect(outcome.output.hasSuffix("\(count) key\(count == 1 ? "" : "s") revoked.\n"), "\(outcome)")
            #expect(try await active(tollgatectl) == Set(left.map { keys[$0].id }))
            let noted = try await tollgatectl.shell(
                "for org in acme globex; do tollgatectl audit $org; done | grep -c 'key.revoke.*gone away'")
            #expect(noted.output == "\(count)\n")
        }
    }

    /// Ids, keys and header lines; what is wrong with one keeps no other alive, and no key is repeated.
    @Test func standardInputNamesKeysByIDOrByThemselves() async throws {
        try await withKeys { tollgatectl, _, keys in
            let outcome = try await tollgatectl.shell(
                #"printf '%s\n\nX-API-Key: %s\r\nmcp_made-up\nacme/aaaaaaaaaa\n%s' "$0" "$1" "$2" | tollgatectl key revoke --stdin --yes"#,
                keys[0].id, keys[1].key, keys[2].key)
            #expect(outcome.code == 66)
            #expect(
                outcome.errors
                    == "tollgatectl: line 5: key acme/aaaaaaaaaa does not exist\ntollgatectl: line 4: no such key here\n"
            )
            #expect(outcome.output.hasSuffix("3 keys revoked.\n"), "\(outcome)")
            #expect(try await active(tollgatectl).isEmpty)
            for key in keys { #expect(!(outcome.output + outcome.errors).contains(key.key)) }
        }
    }

    @Test func aLongLineIsNoKey() async throws {
        try await withKeys { tollgatectl, _, keys in
            let outcome = try await tollgatectl.shell(
                #"(head -c 300000 /dev/zero | tr '\0' x; echo; echo "$0") | tollgatectl key revoke --stdin --yes"#,
                keys[0].id)
            #expect((outcome.code, outcome.output) == (66, "Key \(keys[0].id) revoked.\n1 key revoked.\n"))
            #expect(outcome.errors == "tollgatectl: line 1: expected a key or its id, at most 65536 bytes\n")
        }
    }

    @Test func aFilterIsShownBeforeAnythingIsDone() async throws {
        try await withKeys { tollgatectl, _, keys in
            let asked = try await tollgatectl("key", "revoke", "--where", "user=ada")
            #expect((asked.code, asked.output) == (64, ""))
            #expect(
                asked.errors.contains("Error: 2 keys would be revoked; give --yes where nobody can be asked\n"),
                "\(asked.errors)")
            for (key, name) in [(keys[0], "ci-1"), (keys[2], "ci-2")] {
                #expect(asked.errors.contains("  \(key.id)  \(name), ada\n"), "\(asked.errors)")
            }
            let dry = try await tollgatectl("key", "revoke", "--where", "user=ada", "--dry-run", "--json")
            #expect((dry.code, dry.output.split(separator: "\n").count, dry.errors) == (0, 2, ""))
            #expect(try await active(tollgatectl).count == 3)
        }
    }

    @Test(arguments: [("y", 0, 1), ("n", 73, 3)])
    func aTerminalIsAsked(answer: String, code: Int32, left: Int) async throws {
        try await withKeys { tollgatectl, _, _ in
            let outcome = try await tollgatectl.shell(
                #"echo "$0" | script -qec "tollgatectl key revoke --where user=ada" /dev/null"#, answer)
            #expect(outcome.code == code)
            #expect(outcome.output.contains("Revoke 2 keys? [y/N] "), "\(outcome)")
            #expect(try await active(tollgatectl).count == left)
        }
    }

    @Test(arguments: [
        (["acme/aaaaaaaaaa", "--org", "acme"], "one of the three"), (["--stdin"], "give --yes, since"),
        (["--where", "user"], "expected field=pattern"), (["--where", "usr=a"], "did you mean user?"),
        (["--yes"], "expected the id of a key, --stdin, --org or --where"),
    ])
    func whatIsNotClearIsRefused(arguments: [String], said: String) async throws {
        let outcome = try await Tollgatectl(url: "unix:/nonexistent/redis.sock").run(["key", "revoke"] + arguments)
        #expect((outcome.code, outcome.output) == (64, ""))
        #expect(outcome.errors.hasPrefix("Error: ") && outcome.errors.contains(said), "\(outcome.errors)")
    }

    /// One that somebody else has written over is told of; the others end, whichever way they are named.
    @Test(arguments: [["--org", "acme"], ["--where", "name=*"], ["ids"]])
    func aBadRecordKeepsNoOtherAlive(way: [String]) async throws {
        try await withKeys { tollgatectl, server, keys in
            let record = "tg:1:{acme}:k:\(keys[0].id.dropFirst(5))"
            _ = try await server.cli("DEL", record)
            _ = try await server.cli("SET", record, "x")
            let arguments = way == ["ids"] ? keys.map(\.id) : way
            let outcome = try await tollgatectl.run(["key", "revoke", "--yes"] + arguments)
            #expect(outcome.code == 69)
            #expect(outcome.output.contains("Key \(keys[1].id) revoked.\n"), "\(outcome)")
            if way != ["--org", "acme"] { #expect(outcome.output.contains("Key \(keys[2].id) revoked.\n")) }
            #expect(outcome.errors.hasPrefix("tollgatectl: key \(keys[0].id) is not revoked: "), "\(outcome)")
            #expect(outcome.errors.contains("WRONGTYPE"), "\(outcome)")
            let listed = try await tollgatectl.shell("tollgatectl key list --json | jq -r '.id + \" \" + .status'")
            #expect(listed.output.contains("\(keys[0].id) unreadable\n"), "\(listed)")
        }
    }

    /// A page is of bounded length, however many keys an organization has.
    @Test func moreKeysThanAPageAreAllFound() async throws {
        try await withKeys { tollgatectl, server, _ in
            _ = try await tollgatectl("org", "set", "acme", "--max-active-keys", "100000")
            // As an issued key lies there, but for its pointer.
            _ = try await server.cli(
                "EVAL",
                """
                for i = 1, 12001 do
                  local id = ''
                  for _, digit in ipairs({1, 17, 289, 4913}) do id = id .. string.char(97 + math.floor(i / digit) % 17) end
                  id = 'aaaaaa' .. id
                  redis.call('HSET', 'tg:1:{acme}:k:' .. id, 'key_hash', i, 'subject', id, 'is_active', '1', 'name', 'n', 'user', '')
                  redis.call('ZADD', 'tg:1:{acme}:keys', i, id)
                  redis.call('ZADD', 'tg:1:{acme}:active', '+inf', id)
                end
                """, "0")
            let outcome = try await tollgatectl.shell("tollgatectl key revoke --org acme --yes | tail -n 1")
            #expect((outcome.code, outcome.output) == (0, "12003 keys revoked.\n"))
            // The trail is shorter.
            #expect(
                outcome.errors
                    == "tollgatectl: warning: an audit trail keeps about 10000 entries, so it doesn't have all of these revocations, and nothing from before: acme\n"
            )
            #expect(try await server.cli("ZCARD", "tg:1:{acme}:active") == "0")
        }
    }
}
