// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis
import Testing
@testable import Limits

@testable import Admission

/// What lies in memory once for each key that a loop knows, of which there may be a hundred thousand: a gap of seven octets
/// is one of a megabyte, and fields in another order are one soon (docs/decisions/0036-what-cannot-be-had.md). Who has reason
/// to make one of them longer changes its number here, and looks at what `Tests/Performance/compare` says of a known key.
@Suite struct KeyLayoutTests {
    /// - parts: of its fields, in any order: they come to its size where nothing lies between.
    private static let structs: [(name: String, size: Int, parts: [Int], octets: Int)] = [
        (
            "KeyRecord", MemoryLayout<KeyRecord>.size,
            [
                MemoryLayout<String>.size, MemoryLayout<Int>.size, MemoryLayout<Int>.size,
                MemoryLayout<LimitOverrides>.size, MemoryLayout<ToolAccess>.size, MemoryLayout<KeyScopes>.size,
                MemoryLayout<String?>.size, MemoryLayout<KeyNetworks>.size, MemoryLayout<Bool>.size,
                MemoryLayout<Bool>.size,
            ], 99
        ),
        (
            "KeyNetworks", MemoryLayout<KeyNetworks>.size,
            [MemoryLayout<[AddressBlock]>.size, MemoryLayout<Bool>.size], 9
        ),
        (
            "RedisCommand", MemoryLayout<RedisCommand>.size,
            [MemoryLayout<RedisScript?>.size, MemoryLayout<[UInt8]>.size, MemoryLayout<Int32>.size], 20
        ),
        (
            "Charge.Item", MemoryLayout<Charge.Item>.size, [MemoryLayout<Bucket>.size, MemoryLayout<Int>.size], 16
        ),
        // One reference each, whatever is in them.
        ("BucketSet", MemoryLayout<BucketSet>.size, [MemoryLayout<Bucket>.size], 8),
        ("PolicySelection", MemoryLayout<PolicySelection>.size, [MemoryLayout<[Int]>.size], 8),
        ("Rare", MemoryLayout<Rare<LocalBucket>>.size, [MemoryLayout<Bucket?>.size], 8),
    ]

    @Test(arguments: structs.indices)
    func nothingLiesBetweenFields(index: Int) {
        let layout = Self.structs[index]
        #expect(layout.size == layout.parts.reduce(0, +), "\(layout.name)")
        #expect(layout.size == layout.octets, "\(layout.name)")
    }

    /// Its record ends three octets before the next four, which a flag and a number take.
    @Test func nothingLiesBetweenThoseOfAnEntry() throws {
        let entry = try KeyEntry.stub()
        let object = UInt(bitPattern: Unmanaged.passUnretained(entry).toOpaque())
        let header = 2 * MemoryLayout<Int>.size
        let ahead = [
            MemoryLayout<String>.size, MemoryLayout<KeyRecord>.size, MemoryLayout<Bool>.size, MemoryLayout<Int32>.size,
            MemoryLayout<Organization>.size, MemoryLayout<BucketSet>.size, MemoryLayout<Rights>.size,
            // The questions that it keeps.
            MemoryLayout<Bucket>.size,
        ]
        let place = withUnsafeMutablePointer(to: &entry.provenIn) { UInt(bitPattern: $0) - object }
        #expect(Int(place) == header + ahead.reduce(0, +))
        #expect(place == 168)
    }

    /// Six octets lie behind its flag, as it has no other.
    @Test func aBucketTakesItsOctets() {
        let limit = Limit(count: 1, periodMicroseconds: 1_000_000)
        let policy = Policy(name: "p", per: .key, limit: limit)
        let bucket = Bucket(BucketTerms(policy: 0, of: policy, .rate(limit)), name: [])
        let object = UInt(bitPattern: Unmanaged.passUnretained(bucket).toOpaque())
        let place = withUnsafeMutablePointer(to: &bucket.underWay) { UInt(bitPattern: $0) - object }
        #expect(place == 64)
    }
}
