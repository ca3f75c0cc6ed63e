// SPDX-License-Identifier: Apache-2.0

/// What was known under the configuration before, as far as it is the same under this one: a reload must not forget a key
/// that Redis, away just now, can't be asked for, nor that a bucket is empty.
struct Inheritance<Former> {
    let former: Former
    /// What counts alone while Redis is away goes on with the same part.
    let keepsShares: Bool

    /// What there was of one subject; nil where there was nothing.
    func buckets(_ find: (Former) -> BucketSet?) -> Inheritance<BucketSet>? {
        find(former).map { Inheritance<BucketSet>(former: $0, keepsShares: keepsShares) }
    }
}

extension Bucket {
    /// As what is heard of it and counted here stood in another of the same name and numbers.
    func inherit(from inheritance: Inheritance<BucketSet>) {
        guard let former = inheritance.former.first(where: { $0.name == name }), former.allowance == allowance
        else { return }
        // Of slots the one who has them knows better: it forgets when one comes free.
        if case .slots = meter { return }
        (lastHeard, lastOwed) = (former.lastHeard.map(Heard.init(like:)), former.lastOwed)
        guard inheritance.keepsShares, former.local != nil else { return }
        local = former.local
        former.heir = self
    }
}
