// SPDX-License-Identifier: Apache-2.0

package import Endpoints

/// A primary, as sentinels tell of it.
package struct Primary: Sendable, Hashable {
    package let address: ServerAddress
    /// The number of the failover that made it one: of two primaries the higher one's is the later.
    package let epoch: Int

    package init(at address: ServerAddress, epoch: Int) {
        self.address = address
        self.epoch = epoch
    }
}
