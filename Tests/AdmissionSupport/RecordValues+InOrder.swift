// SPDX-License-Identifier: Apache-2.0

package import Keyspace
package import Redis

extension KeyRecord {
    /// - Parameter values: in the order of the table.
    package init?(_ values: [RedisReply]) {
        guard let fields = RecordValues(values, of: KeyField.admitted) else { return nil }
        self.init(fields)
    }
}

extension OrganizationRecord {
    /// - Parameter values: in the order of the table.
    package init?(_ values: [RedisReply]) {
        guard let fields = RecordValues(values, of: OrganizationField.admitted) else { return nil }
        self.init(fields)
    }
}
