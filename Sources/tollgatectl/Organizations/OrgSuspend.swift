// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgSuspend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "suspend",
        abstract: "Refuse all keys of an organization, from the next request on.",
        discussion: """
            Its keys stay as they are; org resume lets them in again, those that were revoked excepted.

            EXAMPLE:
              tollgatectl org suspend acme
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Flag(help: "Print JSON: org, status, changed (false: it was suspended before).")
    var json = false
    @OptionGroup var replicas: ReplicaWait
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            try Output.status(of: name, isSuspended: true, changed: try await directory.suspend(name, true), json: json)
            try await replicas.wait(directory, isToldInText: !json)
        }
    }
}

extension Output {
    /// What became of an organization that was suspended or resumed.
    static func status(of name: OrganizationID, isSuspended: Bool, changed: Bool, json: Bool) throws(Output.Lost) {
        let status = isSuspended ? "suspended" : "active"
        if json {
            try Output.json([("org", .string(name.text)), ("status", .string(status)), ("changed", .bool(changed))])
        } else if changed {
            try Output.line(
                isSuspended
                    ? "Organization \(name.text) suspended: all its keys are refused."
                    : "Organization \(name.text) is active again.")
        } else {
            try Output.line("Organization \(name.text) was \(status) before.")
        }
    }
}
