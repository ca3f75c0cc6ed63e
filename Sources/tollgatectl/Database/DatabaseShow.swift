// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Redis
import Settings

struct DatabaseShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the database's id, and what of its server may lose data or time.",
        discussion: """
            Sidecars know the database by its id. Of the server it tells, each with a word of judgement (good, careful, bad \
            or unknown) and what to do: version and mode, with redis+sentinel:// the primary and who names it, memory and \
            what happens at its end, keys that were evicted, what survives a restart, replicas, and the round trip beside \
            the sidecars' redis.timeout (of --config, else its default). \
            With redis+cluster:// it tells of the cluster, whether each part of it has the database's id, and all of this of \
            each primary. What the user of Redis may not ask is unknown.

            EXAMPLE:
              tollgatectl database show
            """)

    @Flag(
        help:
            "Print JSON: id (null: nobody has worked with it), server, primary (with redis+sentinel://), memory, evicted_keys, persistence, replicas, round_trip; with redis+cluster:// id, cluster, guards, and primaries, each with these."
    )
    var json = false
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withRedis(to: .show) { session in
            let directory = session.directory
            let redis = session.configuration?.settings.redis
            let timeout = redis?.timeout ?? Settings.Redis.defaultTimeout
            if let cluster = await directory.clusterCondition() {
                let report = ClusterReport(cluster, timeout: timeout)
                return try show(cluster.guards?.id, isKnown: cluster.guards != nil, report.cells, report.json)
            }
            let id = try await directory.databaseID()
            let report = ConditionReport(
                try await directory.condition(), at: "\(session.endpoint)", topology: session.client.topology,
                timeout: timeout)
            try show(id, isKnown: true, report.cells, report.json)
        }
    }

    private func show(
        _ id: String?, isKnown: Bool, _ cells: [(String, Table.Cell)], _ members: [(String, JSON)]
    ) throws(Output.Lost) {
        if json { return try Output.json([("id", JSON(id))] + members) }
        let none = isKnown ? "none: nobody has worked with it, or it was emptied" : "unknown: a primary is away"
        try Output.fields([("Database", Table.Cell(id ?? none))] + cells)
    }
}
