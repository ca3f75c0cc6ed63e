// SPDX-License-Identifier: Apache-2.0

/// The keys of Redis that admission reads and charges (docs/design.md §4). Braces are literal: Redis' hash tags.
struct Names {
    let root: String

    init(namespace: String) {
        root = "\(namespace):1:"
    }

    var instance: String { root + "meta" }

    func credential(_ hash: CredentialHash) -> String {
        root + "cred:" + String(decoding: hash.hexadecimal, as: UTF8.self)
    }

    func organization(_ organization: String) -> String {
        "\(root){\(organization)}"
    }

    func record(_ pointer: RecordPointer) -> String {
        "\(root){\(pointer.organization)}:k:\(pointer.id)"
    }

    /// - Parameter organization: nil for callers without a key.
    func session(_ hash: SessionHash, of organization: String?) -> String {
        "\(root){\(organization ?? ":g")}:s:\(hash.text)"
    }

    /// Of a quota, what stands before the window's name.
    func bucket(_ policy: Policy, ofOrganization organization: String) -> String {
        "\(root){\(organization)}:\(policy.letter):\(policy.name)"
    }

    func bucket(_ policy: Policy, ofKey subject: String, in organization: String) -> String {
        "\(root){\(organization)}:\(policy.letter):\(policy.name):\(subject)"
    }

    func bucket(_ policy: Policy, ofAddress address: String) -> String {
        "\(root){a:\(address)}:\(policy.letter):\(policy.name)"
    }

    func globalBucket(_ policy: Policy) -> String {
        "\(root){:g}:\(policy.letter):\(policy.name)"
    }

    /// The revision of all plans together.
    var planRevision: String { root + "plans" }

    func plan(_ plan: String) -> String { "\(root)plan:\(plan)" }
}

extension Policy {
    /// Of what is kept in Redis: a bucket, slots or a quota's counter.
    var letter: String {
        switch allowance.kind {
        case .rate: "b"
        case .concurrency: "c"
        case .quota: "q"
        }
    }
}
