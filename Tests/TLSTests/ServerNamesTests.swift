// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TLS

@Suite struct ServerNamesTests {
    private static let names = ServerNames([
        ["api.example.com", "example.com"], ["*.example.com", "API.example.com"], ["*.example.org"],
        ["shop.example.org", "*.example.org"], ["*", "*.", "a.*.example"],
    ])

    @Test(arguments: [
        (nil, 0), ("", 0), ("api.example.com", 0), ("API.Example.COM", 0), ("example.com", 0), ("api.example.com.", 0),
        ("www.example.com", 1), ("a.b.example.com", 0), (".example.com", 0), ("shop.example.org", 3),
        ("blog.example.org", 2), ("example.org", 0), ("org", 0), ("*.example.org", 2), ("a.b.example", 0),
        ("localhost", 0),
    ])
    func aNameHasItsCertificate(host: String?, place: Int) {
        #expect(Self.names.place(for: host) == place)
    }
}
