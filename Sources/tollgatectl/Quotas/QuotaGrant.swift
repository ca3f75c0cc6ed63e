// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct QuotaGrant: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grant",
        abstract: "Give tokens back, at most as many as are used.",
        discussion: """
            Of a limit or a quota that counts the organization, key or address itself. Sidecars that have just refused it may \
            go on for a second. Where sidecars disagree about the policy, name their configuration with --config.

            EXAMPLES:
              tollgatectl quota grant acme monthly 500
              tollgatectl quota grant acme/7h3kq2mzxb search 10 --json
            """)

    @Argument(help: ArgumentHelp("Whose, as of quota show.", valueName: "name|id|address"))
    var subject: String
    @Argument(help: "The policy's name.")
    var policy: String
    @Argument(help: "How many.")
    var tokens: Int
    @Flag(help: "Print JSON: policy, remaining, capacity.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try parsed
        try checkPolicyName(policy)
        guard 1...Limit.largestNumber ~= tokens else { throw ValidationError("<tokens>: expected a number above 0") }
    }

    func run() async throws {
        let subject = try parsed
        try await connection.withRedis { session in
            let quotas = session.quotas
            let owner = try await quotas.owner(of: subject)
            let sets = try await session.policySets()
            let found = try OwnPolicies(of: subject, in: sets).named(policy)
            guard let quota = try await quotas.grant(tokens, to: owner, found) else {
                throw Failure(.badData, "policy \(policy) has no tokens to give: it counts requests under way")
            }
            if json {
                return try Output.json([
                    ("policy", .string(policy)), ("remaining", .integer(quota.remaining)),
                    ("capacity", .integer(quota.capacity)),
                ])
            }
            try Output.line("Policy \(policy) of \(subject.name) has \(quota.remaining) of \(quota.capacity) left.")
        }
    }

    private var parsed: QuotaSubject {
        get throws { try QuotaSubject(argument: subject) }
    }
}
