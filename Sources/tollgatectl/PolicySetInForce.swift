// SPDX-License-Identifier: Apache-2.0

import Directory
import Octets
import Settings

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

    /// Behind a noun: `of 2 sidecars web-1-4711-1d3d, web-2-4711-09ab`.
    var description: String {
        switch origin {
        case .live, .file: "of \(owner)"
        case .ended: "as last published by \(owner); no sidecar runs now"
        }
    }

    /// `2 sidecars web-1-4711-1d3d, web-2-4711-09ab`
    var owner: String {
        switch origin {
        case .live(let sidecars): sidecars.inWords
        case .ended(let sidecar): sidecar.name.printable
        case .file(let file): file
        }
    }

    /// Whether verbs of its owner are in the plural.
    var isSeveral: Bool {
        if case .live(let sidecars) = origin { sidecars.count > 1 } else { false }
    }
}

extension [Sidecars.Live] {
    /// `2 sidecars web-1-4711-1d3d, web-2-4711-09ab`
    var inWords: String {
        let names = prefix(4).map(\.name.printable) + (count > 4 ? ["…"] : [])
        return "\(count > 1 ? "\(count) sidecars" : "sidecar") \(names.joined(separator: ", "))"
    }
}

extension Session {
    /// The policies to go by, each set once: of the file, where one is named, else what the sidecars publish. Never empty.
    ///
    /// - Throws: a failure with 66 where there is neither a file nor anything published.
    func policySets() async throws -> [PolicySetInForce] {
        let sets = try await knownPolicySets()
        guard !sets.isEmpty else {
            await warnOfOtherNamespaces()
            throw Failure(.notFound, "no sidecar has published its policies here; start one, or give --config FILE")
        }
        return sets
    }

    /// The same; empty where nobody says any.
    func knownPolicySets() async throws -> [PolicySetInForce] {
        if let configured { return [configured] }
        // Sidecars that differ in what they take for a key alone count by the same numbers.
        return try await published().merged { $0.policies == $1.policies && $0.unknown == $1.unknown }
    }

    /// What the file says, where one is named.
    var configured: PolicySetInForce? {
        configuration.map { configuration in
            let settings = configuration.settings
            return PolicySetInForce(
                set: PolicySet.published(settings.policies, keys: settings.keys.terms).set,
                origin: .file(configuration.file))
        }
    }

    /// One a live policy set, the one most sidecars have first; where none is live, the newest still published; empty
    /// where nothing is.
    func published() async throws -> [PolicySetInForce] {
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
}

extension [PolicySetInForce] {
    /// Those that are the same for a purpose as one, of all their sidecars.
    func merged(_ areSame: (PolicySet, PolicySet) -> Bool) -> [PolicySetInForce] {
        reduce(into: []) { sets, found in
            if let index = sets.firstIndex(where: { areSame($0.set, found.set) }),
                case .live(let some) = sets[index].origin, case .live(let more) = found.origin
            {
                sets[index].origin = .live((some + more).sorted { $0.name < $1.name })
            } else {
                sets.append(found)
            }
        }
    }
}
