// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Octets

/// Which buckets pay for a request (docs/design.md, "Who pays"). An organization's and a key's come with its entry; those
/// of addresses are kept here, and those that all callers share.
final class Payers {
    private let terms: TermsBook
    /// What tells callers apart by their address, where a policy doesn't say.
    private let addressPrefix: AddressPrefix
    private let names: Names
    private var globalBuckets: BucketSet
    private var addresses: BoundedCache<String, BucketSet>
    /// Of the configuration before, for a while.
    private var inheritance: Inheritance<Payers>?

    /// - Parameter capacity: addresses remembered.
    init(_ configuration: AdmissionConfiguration, named names: Names, capacity: Int) {
        terms = TermsBook(configuration.policies)
        addressPrefix = configuration.addressPrefix
        self.names = names
        addresses = BoundedCache(capacity: capacity)
        globalBuckets = BucketSet(
            for: .global, "", by: terms, named: names.globalBucket, allowance: \.allowance)
    }

    /// What another one knows of buckets that are the same here is known here too.
    ///
    /// - Parameter keepsShares: what counts alone while Redis is away goes on with the same part.
    func inherit(_ former: Payers, keepsShares: Bool) {
        let inheritance = Inheritance(former: former, keepsShares: keepsShares)
        self.inheritance = inheritance
        globalBuckets = BucketSet(
            for: .global, "", by: terms, named: names.globalBucket,
            after: inheritance.buckets(\.globalBuckets), allowance: \.allowance)
    }

    func endInheritance() {
        inheritance = nil
    }

    /// Those remembered.
    var addressCount: Int { addresses.count }

    /// What a stranger's address pays for being refused.
    func addressCharge(_ request: AdmissionRequest) -> Charge {
        charge(request, nil, request.isThrottled ? .refused : .nothing) { policy in
            policy.subject == .address && policy.callers != .authenticated
        }
    }

    /// Address and global policies: what may reach the handler without a key.
    func anonymousCharge(_ request: AdmissionRequest) -> Charge {
        charge(request, nil, request.takesTokens ? .full : .nothing) { policy in
            (policy.subject == .address || policy.subject == .global) && policy.callers != .authenticated
        }
    }

    func keyCharge(_ request: AdmissionRequest, _ entry: KeyEntry, _ price: Charge.Price = .full) -> Charge {
        charge(request, entry, request.takesTokens ? price : .nothing) { policy in policy.callers != .anonymous }
    }

    private func charge(
        _ request: AdmissionRequest, _ entry: KeyEntry?, _ price: Charge.Price, where isAsked: (Policy) -> Bool
    ) -> Charge {
        var ofAddress: (prefix: AddressPrefix, buckets: BucketSet)?
        let asked = request.selection.entries
        let policies = terms.policies
        var buckets: [(bucket: Bucket, cost: Int)] = []
        buckets.reserveCapacity(asked.count)
        for (index, cost) in asked.lazy.map({ ($0.policy, $0.cost) }) where isAsked(policies[index]) {
            let bucket: Bucket?
            switch policies[index].subject {
            case .global: bucket = globalBuckets[index]
            case .org: bucket = entry?.organization.buckets[index]
            case .key: bucket = entry?.buckets[index]
            case .address:
                let prefix = policies[index].addressPrefix
                let known = ofAddress?.prefix == prefix ? ofAddress?.buckets : nil
                let buckets = known ?? addressBuckets(subject(of: request, by: prefix))
                ofAddress = (prefix, buckets)
                bucket = buckets[index]
            }
            if let bucket { buckets.append((bucket, cost)) }
        }
        return Charge(buckets, price)
    }

    private func subject(of request: AdmissionRequest, by prefix: AddressPrefix) -> String {
        guard prefix != addressPrefix, let address = request.clientAddress else { return request.address }
        return address.subject(by: prefix)
    }

    /// Those of an address that were asked for, by this configuration or one before it.
    private func known(_ address: String) -> BucketSet? {
        addresses.use(address) ?? inheritance?.former.known(address)
    }

    /// Those of the policies that tell callers apart in this way; what it has of others is asked for under another name.
    private func addressBuckets(_ address: String) -> BucketSet {
        if let known = addresses.use(address) { return known }
        let names = names
        let buckets = BucketSet(
            for: .address, address, by: terms, named: { names.bucket($0, ofAddress: address) },
            after: inheritance?.buckets { $0.known(address) }, allowance: \.allowance)
        addresses.insert(buckets, for: address)
        return buckets
    }
}
