// SPDX-License-Identifier: Apache-2.0

package import Limits

/// The keys of Redis that admission reads and charges (docs/design.md, "What is in Redis"). Braces are literal: hash
/// tags, by which a cluster keeps together what one script works on.
///
/// - `{<organization>}`: an organization, its keys and what they are charged.
/// - `{a:<address>}` and `{:g}`: what an address, and what all callers together are charged.
/// - `{:m}`: what belongs to no organization. A colon can't begin an organization's id.
/// - A credential has none: it is looked up alone, and credentials are to be spread over a cluster.
package struct Names {
    package let root: String
    /// Of what belongs to no organization.
    let shared: String

    package init(namespace: String) {
        root = "\(namespace):1:"
        shared = root + "{:m}:"
    }

    package var instance: String { shared + "meta" }

    package func credential(_ hash: CredentialHash) -> String {
        credential(hash.text)
    }

    package func organization(_ organization: String) -> String {
        "\(root){\(organization)}"
    }

    package func record(_ pointer: RecordPointer) -> String {
        "\(root){\(pointer.organization)}:k:\(pointer.id)"
    }

    /// - Parameter organization: nil for callers without a key.
    package func session(_ hash: SessionHash, of organization: String?) -> String {
        "\(root){\(organization ?? ":g")}:s:\(hash.text)"
    }

    /// Of a quota, what stands before the window's name.
    package func bucket(_ policy: Policy, ofOrganization organization: String) -> String {
        "\(root){\(organization)}:\(policy.letter):\(policy.name)"
    }

    package func bucket(_ policy: Policy, ofKey subject: String, in organization: String) -> String {
        "\(root){\(organization)}:\(policy.letter):\(policy.name):\(subject)"
    }

    package func bucket(_ policy: Policy, ofAddress address: String) -> String {
        "\(root){a:\(address)}:\(policy.letter):\(policy.name)"
    }

    package func globalBucket(_ policy: Policy) -> String {
        "\(root){:g}:\(policy.letter):\(policy.name)"
    }

    /// The secrets that checks of keys are made with, by their ids.
    package var checkSecrets: String { shared + "checks" }

    /// The revision of all plans together.
    package var planRevision: String { shared + "plans" }

    package func plan(_ plan: String) -> String { "\(shared)plan:\(plan)" }
}

extension Policy {
    /// Of what is kept in Redis: a bucket, slots or a quota's counter.
    package var letter: String {
        switch allowance.kind {
        case .rate: "b"
        case .concurrency: "c"
        case .quota: "q"
        }
    }
}
