// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Redis

@Suite struct InfoFieldsTests {
    private static let text = """
        # Memory\r
        used_memory:1048576\r
        maxmemory:0\r
        mem_fragmentation_ratio:1.20\r
        \r
        # Replication\r
        slave0:ip=::1,port=6380,state=online,offset=4,lag=0\r
        no colon\r
        owed:-3\r
        """

    @Test func aFieldIsWhatStandsBehindTheFirstColon() {
        let info = InfoFields(Self.text)
        #expect(info["maxmemory"] == "0")
        #expect(info["slave0"] == "ip=::1,port=6380,state=online,offset=4,lag=0")
        for absent in ["# Memory", "memory", "no colon", ""] { #expect(info[absent] == nil) }
        #expect(info.fields.count == 5)
    }

    @Test(
        arguments: [
            ("used_memory", 1_048_576), ("maxmemory", 0), ("mem_fragmentation_ratio", nil), ("owed", nil),
            ("slave0", nil),
            ("absent", nil),
        ] as [(String, Int?)])
    func aCountIsAWholeNumber(name: String, count: Int?) {
        #expect(InfoFields(Self.text).count(name) == count)
    }
}
