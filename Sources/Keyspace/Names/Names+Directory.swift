// SPDX-License-Identifier: Apache-2.0

package import Limits
import Octets

/// What operators read and change besides.
extension Names {
    package func record(_ id: KeyID) -> String {
        "\(organization(id.organization.text)):k:\(id.local)"
    }

    /// - Parameter hexadecimal: a credential's hash.
    package func credential(_ hexadecimal: String) -> String { root + "cred:" + hexadecimal }

    /// Of all of an organization's keys, by when they were made.
    package func keys(_ organization: String) -> String {
        "\(self.organization(organization)):keys"
    }

    /// Of those that work, by when they end.
    package func activeKeys(_ organization: String) -> String {
        "\(self.organization(organization)):active"
    }

    /// Of those whose making has begun and not ended, by when it began: nobody has been shown one of them.
    package func unfinishedKeys(_ organization: String) -> String {
        "\(self.organization(organization)):unfinished"
    }

    /// Hashes of those whose records retention has taken away, by when it did: an import doesn't bring them back.
    package func endedKeys(_ organization: String) -> String {
        "\(self.organization(organization)):ended"
    }

    /// What stands before and after an organization's name in the name of its hash.
    package var organizationAffixes: (String, String) { ("\(root){", "}") }

    /// A day's counters.
    ///
    /// - Parameter day: since 1970.
    package func usage(_ organization: String, day: Int) -> String {
        "\(self.organization(organization)):u:\(CivilDate(day: day).basic)"
    }

    /// Of what ``RedisScript/revokeKey`` works on, but for the record that the key has replaced.
    package func revocation(of pointer: RecordPointer) -> [String] {
        let organization = pointer.organization
        return [self.organization(organization), record(pointer), activeKeys(organization), audit(organization)]
    }

    package func audit(_ organization: String) -> String { "\(self.organization(organization)):audit" }

    /// Of changes of plans.
    package var planAudit: String { shared + "audit" }

    package func policySet(_ hash: String) -> String { "\(shared)policies:\(hash)" }

    package func routeSet(_ hash: String) -> String { "\(shared)routes:\(hash)" }

    package var sidecars: String { shared + "sidecars" }

    /// Held by whoever removes old records.
    package var retentionLock: String { shared + "retention" }

    /// How many keys end soon, as whoever held that lock has counted.
    package var expiringKeys: String { shared + "expiring" }
}
