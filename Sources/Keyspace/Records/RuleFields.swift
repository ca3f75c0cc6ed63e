// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

// How the fields of a key's record are read. One that is no text may have been meant to say less: it grants nothing.

extension KeyNetworks {
    /// - Returns: nil where the field can't be read.
    package init?(_ field: RedisReply) {
        guard let networks = field.rules(orElse: KeyNetworks(), KeyNetworks.init(parsing:)) else { return nil }
        self = networks
    }
}

extension KeyScopes {
    /// - Returns: nil where the field can't be read.
    package init?(_ field: RedisReply) {
        guard let scopes = field.rules(orElse: KeyScopes(), KeyScopes.init(parsing:)) else { return nil }
        self = scopes
    }
}

extension ToolAccess {
    /// Without a field everything is permitted.
    package init(_ field: RedisReply) {
        if case .null = field {
            self.init()
        } else {
            self = field.text.map(ToolAccess.init(parsing:)) ?? .nothing
        }
    }
}

extension RedisReply {
    /// - Parameter none: where there is no field.
    fileprivate func rules<Rules>(orElse none: Rules, _ parse: (String) -> Rules?) -> Rules? {
        if case .null = self { none } else { text.flatMap(parse) }
    }
}
