// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct PlanSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Make a plan, or give it other numbers: exactly these.",
        discussion: """
            Every sidecar goes by them within two seconds.

            EXAMPLE:
              tollgatectl plan set pro org=100/10s monthly=50000/month streams=8
            """)

    @Argument(help: "1 to 32 of a-z, 0-9 and -, beginning with a letter.", transform: PlanName.init(argument:))
    var name: PlanName
    @OptionGroup var limits: LimitArguments
    @Flag(help: "Print JSON, as plan show does.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        guard limits.edits.allSatisfy({ $0.allowance != nil }) else {
            throw ValidationError("<policy=limit>: a plan has exactly what is given, so leave =default out")
        }
    }

    func run() async throws {
        try await connection.withRedis { session in
            try await limits.check(for: .plan, session)
            let directory = session.directory
            let isNew = try await directory.setPlan(name, LimitOverrides(parsing: "").applying(limits.edits))
            if json { return try Output.json(try await directory.plan(name).json) }
            let users = try await directory.organizations(on: name).count
            try Output.line(
                "Plan \(name.text) \(isNew ? "made" : "changed"): \("organization".counted(users)) \(users == 1 ? "is" : "are") "
                    + "on it.")
        }
    }
}

extension Directory {
    func organizations(on plan: PlanName) async throws -> [OrganizationID] {
        var users: [OrganizationID] = []
        try await forEachOrganization { if $0.plan == plan.text { users.append($0.id) } }
        return users
    }
}

extension PlanDescription {
    var json: [(String, JSON)] {
        [
            ("plan", .string(name.text)), ("limits", overrides.json),
            ("created_at", JSON(createdAt.map(Moment.text))), ("changed_at", JSON(changedAt.map(Moment.text))),
        ]
    }
}
