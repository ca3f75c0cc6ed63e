// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Redis
import Settings

/// Where the policies come from that a command goes by: a configuration file, else what the sidecars publish.
struct PolicySource: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The sidecars' configuration, instead of what they publish; also for its namespace.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml", "json"]))
    var config: String?

    /// - Returns: nil where no file is given.
    func settings() throws -> Settings? {
        try config.map(Self.read)
    }

    /// Never empty.
    ///
    /// - Parameter settings: the file's, where one was given.
    /// - Throws: a failure with 66 where there is neither a file nor anything published.
    func sets(_ settings: Settings?, _ sidecars: Sidecars) async throws -> [PolicySetInForce] {
        if let settings, let config {
            return [PolicySetInForce(set: PolicySet.published(settings.policies).set, origin: .file(config))]
        }
        let found = try await Self.published(sidecars)
        guard !found.isEmpty else {
            throw Failure(.notFound, "no sidecar has published its policies here; start one, or give --config FILE")
        }
        return found
    }

    /// One a live policy set, the one most sidecars have first; where none is live, the newest still published; empty
    /// where nothing is.
    static func published(_ sidecars: Sidecars) async throws -> [PolicySetInForce] {
        let live = Dictionary(grouping: try await sidecars.live(), by: \.hash)
            .sorted { ($0.value.count, $1.key) > ($1.value.count, $0.key) }
        var sets: [PolicySetInForce] = []
        for (hash, group) in live {
            guard let set = try await sidecars.policySet(hash) else { continue }
            sets.append(PolicySetInForce(set: set, origin: .live(group.sorted { $0.name < $1.name })))
        }
        guard sets.isEmpty else { return sets }
        return try await sidecars.newest().map { [PolicySetInForce(set: $0.set, origin: .ended($0.sidecar))] } ?? []
    }

    static func read(_ file: String) throws -> Settings {
        do {
            return try Settings.load(ConfigurationSources(file: file, flags: [:], environment: [:]))
        } catch {
            throw Failure(.badData, "--config: \(error.lines.joined(separator: "\n"))").report()
        }
    }
}

/// A policy set, and why it is looked at.
struct PolicySetInForce: Sendable {
    enum Origin: Sendable {
        /// Sidecars that run now.
        case live([Sidecars.Live])
        /// None runs; the last that did.
        case ended(Sidecars.Live)
        case file(String)
    }

    var set: PolicySet
    var origin: Origin

    /// `2 sidecars (web-1-4711-1d3d, web-2-4711-09ab)`
    var description: String {
        switch origin {
        case .live(let sidecars):
            let names = sidecars.prefix(4).map(\.name.printable) + (sidecars.count > 4 ? ["…"] : [])
            let count = sidecars.count == 1 ? "sidecar" : "\(sidecars.count) sidecars"
            return "of \(count) \(names.joined(separator: ", "))"
        case .ended(let sidecar):
            return "as last published by \(sidecar.name.printable); no sidecar runs now"
        case .file(let file):
            return "of \(file)"
        }
    }
}
