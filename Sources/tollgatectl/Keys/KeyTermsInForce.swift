// SPDX-License-Identifier: Apache-2.0

import Admission

/// What a key has to be like: as the file says, where one is named, else as the sidecars publish it.
struct KeyTermsInForce {
    /// To issue by; where nobody says, those of a configuration that says nothing of keys.
    let terms: KeyTerms
    /// Who says so. Several where sidecars disagree, the one that most go by first.
    private let sources: [PolicySetInForce]
    private let live: [PolicySetInForce]

    init(_ session: Session) async throws {
        let published = try await session.published().filter { $0.set.keys != nil }.merged { $0.keys == $1.keys }
        live = published.filter(\.isLive)
        sources = session.configured.map { [$0] } ?? published
        terms = sources.first?.set.keys ?? .standard
    }

    /// Tells of sidecars that run by other terms than these.
    func warnOfOthers() {
        guard let source = sources.first else { return }
        // A key of ours has 43 octets behind its prefix.
        let example = terms.prefix + String(repeating: "A", count: 43)
        for other in live {
            guard let theirs = other.set.keys, theirs != terms else { continue }
            let differences = theirs.differences(from: terms).joined(separator: ", ")
            let (have, refuse) = other.isSeveral ? ("have", "refuse") : ("has", "refuses")
            Output.warn(
                "this key follows \(source.owner); \(other.owner) \(have) \(differences)"
                    + (theirs.accepts(example) ? "" : " and \(refuse) it"))
        }
    }

    /// Those by whose terms a text is no key at all.
    func refusers(of key: String) -> [PolicySetInForce] {
        sources.filter { $0.set.keys?.accepts(key) == false }
    }

    /// Whether anybody takes it for a key; nil where nobody says.
    func accept(_ key: String) -> Bool? {
        sources.isEmpty ? nil : refusers(of: key).count < sources.count
    }
}

extension PolicySetInForce {
    fileprivate var isLive: Bool {
        if case .live = origin { true } else { false }
    }
}

extension KeyTerms {
    /// `keys.prefix sk_`
    fileprivate func differences(from other: KeyTerms) -> [String] {
        let members: [(name: String, own: String, others: String)] = [
            ("keys.prefix", prefix, other.prefix),
            ("keys.accept", "[\(accept.joined(separator: ", "))]", "[\(other.accept.joined(separator: ", "))]"),
            ("keys.headers", "[\(headers.joined(separator: ", "))]", "[\(other.headers.joined(separator: ", "))]"),
            ("keys.max_active_per_org", "\(maximumActive)", "\(other.maximumActive)"),
        ]
        return members.filter { $0.own != $0.others }.map { "\($0.name) \($0.own)" }
    }

    /// `mcp_* or sk-*-prod`
    var acceptedForms: String {
        accept.map { Glob.isPattern($0) ? $0 : "\($0)*" }.joined(separator: " or ")
    }

    /// `X-API-Key, or as Authorization: Bearer`
    var places: String {
        headers.map { $0.lowercased() == "authorization" ? "\($0): Bearer" : $0 }.joined(separator: ", or as ")
    }
}
