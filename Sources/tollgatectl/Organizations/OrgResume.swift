// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

struct OrgResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Let an organization that was suspended in again.",
        discussion: """
            EXAMPLE:
              tollgatectl org resume acme
            """)

    @Argument(help: "Its name.", transform: OrganizationID.init(argument:))
    var name: OrganizationID
    @Flag(help: "Print JSON: org, status, changed (false: it was active before).")
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withDirectory { directory in
            try Output.status(
                of: name, isSuspended: false, changed: try await directory.suspend(name, false), json: json)
        }
    }
}
