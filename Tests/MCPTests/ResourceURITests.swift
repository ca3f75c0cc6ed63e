// SPDX-License-Identifier: Apache-2.0

import MCP
import Testing

@Suite struct ResourceURITests {
    @Test(arguments: [
        "file:///etc/passwd", "greeting://World/Name", "config:app", "https://api.example.com:8443/a?b=../c#/./d",
        "x-y.z+1:a",
        "file:///a%20b%2Fc", "note://a/..b/c.", "urn:isbn:0451450523", "db://User@Host/T",
        "file:///a/gr%C3%B6%C3%9Fe", "file://server/share", "http://127.0.0.1/b", "http://a.b1/",
        "http://2a/", "note://a",
        "note://x:80/", "agent://name:role/x", "http://a:8080/b?c#d",
    ])
    func isNormal(uri: String) {
        #expect(ResourceURI.isNormal(Array(uri.utf8)))
    }

    @Test(arguments: [
        "FILE:///etc/passwd", "File:///a", "file:/etc/passwd", "file:etc", "file:\\\\\\etc", "file:///b/../etc",
        "file:///./a",
        "file:///a/..", "file:///%65tc", "file:///a/%2e%2e/b", "file:///%2Ea", "file:///a%2fb", "file:///a%",
        "file:///a%4",
        " file:///a", "file:///a ", "fi\tle:///a", "file:///a\n", "https://API.example.com/", "https://user@host/", "",
        "a", ":a",
        "https:host", "note://a/./b", "note:\\..\\b", "file:///a\u{7F}", "https://user:word@host/", "note://@a/",
        "note://u:@a/", "note://a:/", "note://a:080/", "file:///C|/a", "http://a/b'c", "http://0x7f.1/", "http://a./",
        "http://256.1/", "file:///a/größe", "file:///a^b",
    ])
    func isNot(uri: String) {
        #expect(!ResourceURI.isNormal(Array(uri.utf8)))
    }
}
