// SPDX-License-Identifier: Apache-2.0

/// What sidecars take for a key, and how many an organization may have: published beside the policies, so that tollgatectl
/// issues keys that they accept.
package struct KeyTerms: Sendable, Equatable {
    /// Those of a configuration that says nothing of keys.
    package static let standard = KeyTerms(
        prefix: "mcp_", accept: ["mcp_"], headers: ["X-API-Key", "Authorization"], maximumActive: 5)

    /// Beginning of every key issued here.
    package var prefix: String
    /// Prefixes and patterns of the keys that are looked up at all.
    package var accept: [String]
    /// Header fields in which a key is looked for; Authorization as `Bearer`.
    package var headers: [String]
    /// Of an organization whose record says nothing else.
    package var maximumActive: Int
    /// What becomes of keys like those issued here without a right check.
    package var check = KeyCheckMode.prefer
    /// The secrets of checks are in a file of the sidecars' machines, and not in Redis.
    package var hasCheckFile = false

    package init(prefix: String, accept: [String], headers: [String], maximumActive: Int) {
        self.prefix = prefix
        self.accept = accept
        self.headers = headers
        self.maximumActive = maximumActive
    }

    package func accepts(_ key: String) -> Bool {
        CredentialFormat(prefix: prefix, accept: accept).accepts(Array(key.utf8))
    }
}

/// The JSON in which it is published. Others may write to Redis too: a key is made of the prefix, and a terminal shows it.
extension KeyTerms: Codable {
    private enum CodingKeys: String, CodingKey {
        case prefix, accept, headers, check
        case hasCheckFile = "check_file"
        case maximumActive = "max_active_per_org"
    }

    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        prefix = try members.decode(String.self, forKey: .prefix)
        accept = try members.decode([String].self, forKey: .accept)
        headers = try members.decode([String].self, forKey: .headers)
        maximumActive = try members.decode(Int.self, forKey: .maximumActive)
        // Sidecars of before say nothing of checks, and know of none.
        check = try members.decodeIfPresent(KeyCheckMode.self, forKey: .check) ?? .off
        hasCheckFile = try members.decodeIfPresent(Bool.self, forKey: .hasCheckFile) ?? false
        guard isConfigurable else {
            throw DecodingError.dataCorruptedError(
                forKey: .prefix, in: members, debugDescription: "no terms that a sidecar publishes")
        }
    }
}
