// SPDX-License-Identifier: Apache-2.0

import CNettle

/// HMAC-SHA-256 (RFC 2104) under one key, computed by Nettle. The blocks of the key are digested once, when it is made.
/// Nothing can fail.
package struct HMACKey: Sendable {
    private let keyed: hmac_sha256_ctx

    package init(_ key: [UInt8]) {
        var keyed = hmac_sha256_ctx()
        unsafe key.withUnsafeBufferPointer { key in
            unsafe tollgate_hmac_sha256_set_key(&keyed, key.count, key.baseAddress)
        }
        self.keyed = keyed
    }

    package func code(of octets: [UInt8]) -> SHA256Digest {
        unsafe SHA256Digest { digest in
            unsafe octets.withUnsafeBufferPointer { octets in
                unsafe withUnsafePointer(to: keyed) { keyed in
                    unsafe tollgate_hmac_sha256(keyed, octets.count, octets.baseAddress, digest)
                }
            }
        }
    }
}
