// SPDX-License-Identifier: Apache-2.0

package import Limits
package import Redis

// How the fields of a key's record are read. One that is no text may have been meant to say less: it grants nothing.

extension KeyNetworks {
    /// - Returns: nil where the field can't be read.
    package init?(_ field: RedisReply) {
        if case .null = field {
            self.init()
        } else if let text = field.text {
            self.init(parsing: text)
        } else {
            return nil
        }
    }
}

extension KeyScopes {
    /// - Returns: nil where the field can't be read.
    package init?(_ field: RedisReply) {
        if case .null = field {
            self.init()
        } else if let text = field.text {
            self.init(parsing: text)
        } else {
            return nil
        }
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
