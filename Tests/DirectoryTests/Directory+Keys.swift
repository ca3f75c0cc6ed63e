// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

extension Directory {
    /// All of an organization, oldest first.
    func keys(of organization: OrganizationID) async throws -> [KeyDescription] {
        var pages = KeyPages(self, of: organization)
        var keys: [KeyDescription] = []
        while let page = try await pages.next() { keys += page }
        return keys
    }
}
