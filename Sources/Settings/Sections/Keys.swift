// SPDX-License-Identifier: Apache-2.0

package import Limits
import Octets

extension Settings {
    package struct Keys: Sendable, Equatable {
        package var prefix: String
        package var accept: [String]
        /// Header names in which a credential is looked for; Authorization as `Bearer`.
        package var headers: [String]
        package var forward: Bool
        /// What of operators' notes about keys and organizations the handler is told.
        package var forwardedMeta: [MetaField]
        package var maxActivePerOrganization: Int
        package var allowsAnonymous: Bool
        /// How long the record of a revoked key is kept.
        package var retention: Duration
        /// What becomes of keys like those issued here without a right check.
        package var check: KeyCheckMode
        /// The file of the secrets that checks are made with; nil: they are in Redis.
        package var checkFile: String?
        /// What was in it, where secrets are read.
        package var checkSecrets: CheckSecrets?

        /// As sidecars publish them.
        package var terms: KeyTerms {
            var terms = KeyTerms(
                prefix: prefix, accept: accept, headers: headers, maximumActive: maxActivePerOrganization)
            terms.check = check
            terms.hasCheckFile = checkFile != nil
            return terms
        }
    }
}

extension Settings.Keys {
    static let schema = Schema([
        prefix.row, accept.row, headers.row, forward.row, forwardedMeta.row, maxActivePerOrganization.row,
        allowsAnonymous.row,
        retention.row, check.row, checkFile.row,
    ])

    static let prefix = Setting("keys.prefix", .keyPrefix, default: "mcp_", "Beginning of every key issued here.")
    static let accept = Setting(
        "keys.accept", .list("a list of prefixes or patterns of keys", of: .keyPattern),
        "Keys that are looked up at all: prefixes, or patterns with * and ?. Default: keys.prefix.",
        derived: Derivation { .texts($0.keys.accept) })
    static let headers = Setting(
        "keys.headers", .list("a list of header fields", of: .fieldName, identity: { $0.lowercased() }),
        default: "[X-API-Key, Authorization]",
        "Where a key is looked for; in Authorization as Bearer.")
    static let forward = Setting(
        "keys.forward", .boolean, default: "false", "Whether the handler gets to see the key.")
    static let forwardedMeta = Setting(
        "keys.forward_meta",
        .list("a list of names such as tier", of: .metaName, isEmptyAllowed: true, identity: \.identity), default: "[]",
        "Members of meta that the handler gets as X-Tollgate-Meta-<name>, a key's before its organization's.")
    static let maxActivePerOrganization = Setting(
        "keys.max_active_per_org", .integer(KeyTerms.maximumActives), default: "5",
        "Active keys an organization may have.")
    static let allowsAnonymous = Setting(
        "keys.anonymous",
        .choice(
            ["deny": false, "allow": true],
            hints: [
                "true": "allow", "yes": "allow", "on": "allow", "allowed": "allow", "permit": "allow",
                "false": "deny", "no": "deny", "off": "deny", "denied": "deny", "refuse": "deny", "reject": "deny",
                "forbid": "deny",
            ]), default: "deny",
        "Whether requests without a key are refused, or only limited by address.")
    static let retention = Setting(
        "keys.retain", .duration(.seconds(3_600)...(.longestRetention)), default: "90d",
        "How long the record of a revoked key is kept, for who wants to know whose it was.")

    static let check = Setting(
        "keys.check",
        .choice(
            ["prefer": KeyCheckMode.prefer, "require": .require, "off": .off],
            hints: ["false": "off", "no": "off", "none": "off", "true": "prefer", "on": "prefer", "strict": "require"]),
        default: "prefer",
        "Keys like those issued here whose check isn't right: looked up behind others (prefer), refused (require).")
    static let checkFile = Setting<String>(
        "keys.check_file", .secretFile, default: nil,
        "File of the secrets that checks are made with, one a line as tollgatectl check make prints it. Default: in Redis."
    )

    init(_ root: Mapping, _ problems: inout ProblemList) {
        prefix = root.value(Self.prefix, &problems)
        accept = root.optional(Self.accept, &problems) ?? [prefix]
        headers = root.value(Self.headers, &problems)
        forward = root.value(Self.forward, &problems)
        forwardedMeta = root.value(Self.forwardedMeta, &problems)
        maxActivePerOrganization = root.value(Self.maxActivePerOrganization, &problems)
        allowsAnonymous = root.value(Self.allowsAnonymous, &problems)
        retention = root.value(Self.retention, &problems)
        check = root.value(Self.check, &problems)
        checkFile = root.optional(Self.checkFile, &problems)
    }

    /// Reads the secrets, to be used.
    mutating func readCheckSecrets(_ root: Mapping, _ problems: inout ProblemList) {
        guard let checkFile else { return }
        do throws(FileFlaw) {
            checkSecrets = try CheckFile.secrets(at: checkFile)
        } catch {
            root.refuse(
                Self.checkFile, expected: "a file of secrets", got: "\(checkFile.shown): \(error)",
                hint: "tollgatectl check make prints a line of it", &problems)
        }
    }

    func refuseConflicts(_ root: Mapping, _ problems: inout ProblemList) {
        if check == .off, root.isGiven(Self.checkFile) {
            root.refuse(
                Self.checkFile, expected: "keys.check: prefer or require beside it", got: "off", &problems)
        }
        guard !terms.acceptsOwn, root.isGiven(Self.accept) else { return }
        root.refuse(
            Self.accept, expected: "an entry for the keys issued here, which begin with '\(prefix)'", got: "none",
            hint: "add \"\(prefix)\"", &problems)
    }
}
