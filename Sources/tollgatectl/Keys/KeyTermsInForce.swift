// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

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

    /// Nobody says what keys are like.
    var isGuessed: Bool { sources.isEmpty }

    /// Tells of sidecars that run by other terms than these.
    func warnOfOthers() {
        guard let source = sources.first else { return }
        let warnings = live.compactMap { other -> String? in
            guard let theirs = other.set.keys, theirs != terms else { return nil }
            let differences = theirs.differences(from: terms).joined(separator: ", ")
            let (have, refuse) = other.isSeveral ? ("have", "refuse") : ("has", "refuses")
            return "this key follows \(source.owner); \(other.owner) \(have) \(differences)"
                + (theirs.accepts(terms.example) ? "" : " and \(refuse) it")
        }
        Output.warn(warnings)
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
        let members: [(text: String, isSame: Bool)] = [
            ("keys.prefix \(prefix)", prefix == other.prefix),
            ("keys.accept [\(accept.shortened.joined(separator: ", "))]", accept == other.accept),
            ("keys.headers [\(headers.shortened.joined(separator: ", "))]", headers == other.headers),
            ("keys.max_active_per_org \(maximumActive)", maximumActive == other.maximumActive),
            ("keys.check \(check.rawValue)", check == other.check),
            (hasCheckFile ? "a keys.check_file" : "no keys.check_file", hasCheckFile == other.hasCheckFile),
        ]
        return members.filter { !$0.isSame }.map(\.text)
    }

    /// `mcp_* or sk-*-prod`
    var acceptedForms: String {
        accept.map { Glob.isPattern($0) ? $0 : "\($0)*" }.shortened.joined(separator: " or ")
    }

    /// `X-API-Key, or as Authorization: Bearer`
    var places: String {
        let fields = headers.map { $0.lowercased() == "authorization" ? "\($0): Bearer" : $0 }
        return fields.shortened.joined(separator: ", or as ")
    }
}

extension [String] {
    /// As many as a line may hold.
    fileprivate var shortened: [String] { count > 5 ? prefix(4) + ["\(count - 4) more"] : self }
}
