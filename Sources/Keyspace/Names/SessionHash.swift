// SPDX-License-Identifier: Apache-2.0

import Digests

/// 128 bits of a session id's SHA-256, for what comes from a request enters no name as it is.
package struct SessionHash {
    package let text: String

    package init(of id: [UInt8]) {
        text = String(decoding: SHA256Digest(of: id).hexadecimal.prefix(32), as: UTF8.self)
    }
}
