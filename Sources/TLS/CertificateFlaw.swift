// SPDX-License-Identifier: Apache-2.0

/// A file of certificates that can't be used.
package struct CertificateFlaw: Error, Sendable, Hashable {
    package enum Part: Sendable, Hashable { case authorities, certificate, key }

    package let part: Part
    package let path: String
    /// What it is or isn't, never what is in it; messages say it after "got".
    package let reason: String
}

extension CertificateFlaw: CustomStringConvertible {
    package var description: String { "\(path): \(reason)" }
}
