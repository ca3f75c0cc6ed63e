// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits

extension Charge {
    /// What an answer of the script says of this charge; nil where no such answer can be: as many numbers as buckets, and
    /// perhaps as many more as rates, none beyond what can be counted, and one without room where it denies. Others may have let
    /// more be owed than the bucket holds.
    func verdict(of answer: AdmitAnswer) -> AdmitVerdict? {
        let verdict = answer.verdict
        guard let verdict, verdict.isAboutBuckets else { return verdict }
        guard answer.count == 2 + items.count || answer.count == 2 + items.count + rates else { return nil }
        var lacksRoom = false
        for index in items.indices {
            guard let owed = answer[2 + index], 0...Limit.largestNumber ~= owed else { return nil }
            if case .denied = verdict, !items[index].isShadow, !items[index].hasRoom(beside: owed) { lacksRoom = true }
        }
        if case .denied = verdict, !lacksRoom { return nil }
        return verdict
    }
}

extension Charge.Item {
    /// Whether its cost fits beside what is owed.
    func hasRoom(beside owed: Int) -> Bool {
        switch bucket.meter {
        case .nothing: false
        case .rate(let shape): shape.admits(cost: cost, backlog: owed)
        case .quota, .slots: cost == 0 || owed + cost <= bucket.capacity
        }
    }

    /// Less would be no reason to refuse it.
    var leastOwedByARefusal: Int {
        switch bucket.meter {
        case .nothing: 0
        case .rate(let shape): shape.capacityUnits - shape.units(ofCost: cost) + 1
        case .quota, .slots: max(0, bucket.capacity - cost + 1)
        }
    }
}
