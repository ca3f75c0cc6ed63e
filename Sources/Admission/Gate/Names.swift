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

    func bucket(_ policy: String, ofOrganization organization: String) -> String {
        "\(root){\(organization)}:b:\(policy)"
    }

    func bucket(_ policy: String, ofKey subject: String, in organization: String) -> String {
        "\(root){\(organization)}:b:\(policy):\(subject)"
    }

    func bucket(_ policy: String, ofAddress address: String) -> String {
        "\(root){a:\(address)}:b:\(policy)"
    }

    func globalBucket(_ policy: String) -> String {
        "\(root){:g}:b:\(policy)"
    }
}
