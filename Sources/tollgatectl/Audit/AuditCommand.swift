// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show who changed what, newest last.",
        discussion: """
            About ten thousand changes are kept of each organization, and of all plans together.

            EXAMPLES:
              tollgatectl audit acme
              tollgatectl audit acme --most 1000 --json
              tollgatectl audit --plans
            """)

    @Argument(help: "An organization.", transform: OrganizationID.init(argument:))
    var name: OrganizationID?
    @Flag(help: "Of the plans.")
    var plans = false
    @Option(help: ArgumentHelp("The newest of so many.", valueName: "count"))
    var most = 50
    @Flag(help: "Print JSON, one object a line: time, who, what, target, detail.")
    var json = false
    @OptionGroup var connection: Connection

    func validate() throws {
        guard (name == nil) == plans else { throw ValidationError("give an organization, or else --plans") }
        guard 1...10_000 ~= most else { throw ValidationError("--most: expected a number from 1 to 10000") }
    }

    func run() async throws {
        var listing = Listing(
            [
                .init(heading: "TIME"), .init(heading: "WHO", mayShrink: true), .init(heading: "WHAT"),
                .init(heading: "TARGET"), .init(heading: "DETAIL", mayShrink: true),
            ], isJSON: json)
        try await connection.withDirectory(to: .show) { directory in
            if let name { _ = try await directory.organization(name) }
            for entry in try await directory.audit(of: name, most: most) {
                let time = Moment.text(entry.milliseconds / 1_000)
                try listing.append(
                    sortKey: nil,
                    cells: [
                        Table.Cell(time), Table.Cell(entry.who.printable), Table.Cell(entry.what.printable),
                        Table.Cell(entry.target.printable), Table.Cell(entry.detail.printable),
                    ],
                    json: [
                        ("time", .string(time)), ("who", .string(entry.who)), ("what", .string(entry.what)),
                        ("target", .string(entry.target)), ("detail", .string(entry.detail)),
                    ])
            }
            try listing.end(otherwise: "Nothing was changed yet.")
        }
    }
}
