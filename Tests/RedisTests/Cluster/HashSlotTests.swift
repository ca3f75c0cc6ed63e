// SPDX-License-Identifier: Apache-2.0

import Redis
import Testing

@Suite struct HashSlotTests {
    /// The checksum's check value, those of the cluster specification, and what `CLUSTER KEYSLOT` of Redis 7.0 answers.
    @Test(arguments: [
        ("123456789", 0x31C3), ("foo", 12_182), ("bar", 5_061), ("", 0), ("somekey", 11_058),
        ("{user1000}.following", 3_443), ("{user1000}.followers", 3_443), ("user1000", 3_443),
        // An empty tag is none, only the first one counts, and it ends at the first brace.
        ("foo{}{bar}", 8_363), ("foo{{bar}}zap", 4_015), ("{bar", 4_015), ("foo{bar}{zap}", 5_061),
        ("tg:1:{acme}:b:org", 11_304), ("acme", 11_304), ("foo{bar", 15_278), ("foo}bar{", 11_073),
    ])
    func isTheOneOfACluster(key: String, slot: Int) {
        #expect(HashSlot(of: key).number == UInt16(slot), "\(key)")
        #expect(HashSlot(of: Array(key.utf8)).number == UInt16(slot), "\(key)")
    }
}
