// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import tollgatectl

@Suite struct PresentedKeyTests {
    @Test(arguments: [
        ("mcp_abc", "mcp_abc", nil),
        ("X-API-Key: mcp_abc", "mcp_abc", "X-API-Key"),
        ("x-api-key:mcp_abc", "mcp_abc", "X-API-Key"),
        ("X-Token: \t mcp_abc", "mcp_abc", "X-Token"),
        ("Authorization: Bearer mcp_abc", "mcp_abc", "Authorization"),
        ("authorization: BEARER  mcp_abc", "mcp_abc", "Authorization"),
        ("Bearer mcp_abc", "mcp_abc", nil),
        ("Authorization: Bearer ${TOKEN}", "${TOKEN}", "Authorization"),
        // A colon makes no header: keys of other makes have some.
        ("sk:mcp_abc", "sk:mcp_abc", nil),
        ("X-Other: mcp_abc", "X-Other: mcp_abc", nil),
        ("X-API-Key:", "", "X-API-Key"),
        ("Authorization: Basic dTpw", "Basic dTpw", "Authorization"),
    ])
    func isReadFromTheLineThatCarriesIt(line: String, key: String, header: String?) {
        let presented = PresentedKey(line, headers: ["X-Token"])
        #expect(presented.key == key)
        #expect(presented.header == header)
    }

    @Test(arguments: [
        (0, "in 0 s"), (59, "in 59 s"), (60, "in 1 min"), (3_599, "in 59 min"), (3_600, "in 1 h"), (3_601, "in 1 h"),
        (86_399, "in 23 h"), (604_800, "in 7 d"), (-1, "in 0 s"),
    ])
    func whatLastsIsRoundedDown(seconds: Int, text: String) {
        #expect(TimeText.lasting(seconds: seconds) == text)
    }
}
