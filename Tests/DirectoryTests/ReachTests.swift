// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Directory

/// What a change on several nodes has reached.
@Suite struct ReachTests {
    private static func reach(_ reached: Int?, of attached: Int = 2, onDisk isOnDisk: Bool? = nil) -> Reach {
        Reach(replicas: reached.map { Replicas(attached: attached, reached: $0) }, isOnDisk: isOnDisk)
    }

    @Test(
        arguments: [
            ([], reach(nil)), ([reach(nil)], reach(nil)), ([reach(2)], reach(2)), ([reach(2), reach(0)], reach(0)),
            // A node without replicas can't fail over.
            ([reach(nil), reach(1)], reach(1)), ([reach(1, of: 3), reach(1, of: 1)], reach(1, of: 1)),
            ([reach(nil, onDisk: true), reach(nil, onDisk: true)], reach(nil, onDisk: true)),
            ([reach(nil, onDisk: true), reach(nil, onDisk: false)], reach(nil, onDisk: false)),
            ([reach(nil, onDisk: false), reach(nil)], reach(nil, onDisk: false)),
            // One doesn't tell.
            ([reach(nil, onDisk: true), reach(nil)], reach(nil)),
        ] as [([Reach], Reach)])
    func theWorstCounts(reaches: [Reach], worst: Reach) {
        #expect(Reach(worstOf: reaches) == worst)
    }
}
