// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Settings

struct PlanSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Make a plan, or give it other numbers: exactly these.",
        discussion: """
            Every sidecar goes by them within two seconds.

            EXAMPLE:
              tollgatectl plan set pro org=100/10s monthly=50000/month streams=8
            """)

    @Argument(help: "1 to 32 of a-z, 0-9 and -, beginning with a letter.", transform: planName)
    var name: PlanName
    @Argument(
        help: ArgumentHelp("org=100/10s, monthly=5000/month, streams=8.", valueName: "policy=limit"),
        transform: limitEdit)
    var limits: [LimitEdit]
    @Flag(help: "Print JSON, as plan show does.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        try LimitCheck(edits: limits, owner: .plan).validate()
        guard limits.allSatisfy({ $0.allowance != nil }) else {
            throw ValidationError("<policy=limit>: a plan has exactly what is given, so leave =default out")
        }
    }

    func run() async throws {
        try await connection.withRedis { session in
            try await LimitCheck(edits: limits, owner: .plan).check(session)
            let directory = session.directory
            let isNew = try await directory.setPlan(name, LimitOverrides(parsing: "").applying(limits))
            if json { return try Output.json(try await directory.plan(name).json) }
            let users = try await directory.organizations(on: name).count
            try Output.line(
                "Plan \(name.text) \(isNew ? "made" : "changed"): \("organization".counted(users)) \(users == 1 ? "is" : "are") "
                    + "on it.")
        }
    }
}

/// Of an argument or option that names a plan.
func planName(_ text: String) throws -> PlanName {
    guard let name = PlanName(text) else {
        let guess = PlanName(text.lowercased()).map { " (did you mean \($0.text)?)" } ?? ""
        throw ValidationError("expected 1 to 32 of a-z, 0-9 and -, beginning with a letter\(guess)")
    }
    return name
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
            ("created_at", JSON(createdAt.map(Timestamp.text))), ("changed_at", JSON(changedAt.map(Timestamp.text))),
        ]
    }
}
