// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TLS

@Suite struct HostNameTests {
    @Test(arguments: [
        ("redis.example", "redis.example", true), ("REDIS.example", "redis.Example", true),
        ("*.example", "redis.example", true), ("*.example", "a.redis.example", false), ("*.example", "example", false),
        ("*.example", ".example", false), ("*.", "redis.", false), ("*", "redis", false),
        ("r*.example", "redis.example", false), ("redis.*", "redis.example", false), ("", "redis", false),
        ("redis.example.", "redis.example", false),
    ])
    func fitsHosts(pattern: String, host: String, fits: Bool) {
        #expect(HostName.fits(pattern.utf8, host) == fits)
    }
}
