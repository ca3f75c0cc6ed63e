// SPDX-License-Identifier: Apache-2.0

package import Limits

/// SCAN may name a thing twice. What was seen is remembered, up to a bound: beyond it one may come twice.
package struct SeenOrganizations {
    private static let most = 200_000
    private var ids: Set<OrganizationID> = []

    package init() {}

    /// - Returns: whether it is new.
    package mutating func insert(_ id: OrganizationID) -> Bool {
        if ids.count == Self.most { ids = [] }
        return ids.insert(id).inserted
    }
}
