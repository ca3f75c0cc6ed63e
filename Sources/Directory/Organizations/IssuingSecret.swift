// SPDX-License-Identifier: Apache-2.0

package import Limits

/// What the check of a new key is made with.
package struct IssuingSecret: Sendable {
    package let secret: CheckSecret
    /// It may be retired while the key is being made. One of a file is the file's affair.
    let isInRedis: Bool

    package init(_ secret: CheckSecret, isInRedis: Bool) {
        self.secret = secret
        self.isInRedis = isInRedis
    }
}
