// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct QuotaReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Fill buckets: what was used is forgotten.",
        discussion: """
            Only what the subject itself is counted by: a key's own limits, not its organization's. Sidecars that have just \
            refused it may go on for a second. Asks before it touches more than one bucket. Where sidecars disagree about \
            a policy, name their configuration with --config.

            EXAMPLES:
              tollgatectl quota reset acme org
              tollgatectl quota reset acme/7h3kq2mzxb --yes
              tollgatectl quota reset 203.0.113.9 address
              tollgatectl quota reset --global ceiling
            """)

    @Argument(
        help: ArgumentHelp("Whose, as of quota show; left out with --global.", valueName: "name|id|address"))
    var subject: String?
    @Argument(help: "Only this one; all of the subject's where none is given.")
    var policy: String?
    @Flag(help: "Instead of somebody's, the limits that count all callers together.")
    var global = false
    @Flag(help: "Do not ask before filling more than one.")
    var yes = false
    @Flag(help: "Print JSON, one object a bucket: policy, reset (false: it was full).")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        _ = try parsed
    }

    func run() async throws {
        let (subject, policy) = try parsed
        try await connection.withRedis { session in
            let quotas = session.quotas
            let owner = try await quotas.owner(of: subject)
            let sets = try await session.policySets()
            let own = OwnPolicies(of: subject, in: sets)
            let policies = try policy.map { [try own.named($0)] } ?? own.all()
            if policies.count > 1, !yes {
                try Prompt.confirm(
                    "Fill \(policies.count) buckets of \(subject.name) (\(policies.map(\.name).joined(separator: ", ")))?",
                    doing: "\(policies.count) buckets would be filled", otherwise: "nothing was reset")
            }
            for policy in policies {
                let wasUsed = try await quotas.reset(owner, policy)
                if json {
                    try Output.json([("policy", .string(policy.name)), ("reset", .bool(wasUsed))])
                } else {
                    try Output.line(
                        "Policy \(policy.name) of \(subject.name) \(wasUsed ? "is full again." : "was full.")")
                }
            }
        }
    }

    private var parsed: (QuotaSubject, policy: String?) {
        get throws {
            guard !global || policy == nil else {
                throw ValidationError("with --global, give nothing but the policy")
            }
            let parsed = try QuotaSubject(argument: global ? nil : subject, isGlobal: global)
            // With --global the first word is the policy.
            let name = global ? subject : policy
            if let name { try checkPolicyName(name) }
            return (parsed, name)
        }
    }
}
