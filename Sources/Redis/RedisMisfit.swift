// SPDX-License-Identifier: Apache-2.0

package import TLS

/// Something that answers where Redis was looked for, and isn't the Redis that Tollgate can use.
package enum RedisMisfit: Sendable, Hashable {
    case tooOld(version: String)
    case sentinel
    case clusterNode
    case replica
    /// It answers by a TLS record.
    case encrypted
    /// TLS was begun, and no connection came of it.
    indirect case insecure(Insecurity)

    package struct Insecurity: Sendable, Hashable {
        package let failure: TLSFailure
        /// `host:port`
        private let server: String
        /// What its certificate has to name.
        private let name: String
        private let files: CertificateFiles

        package init(_ failure: TLSFailure, server: String, name: String, files: CertificateFiles) {
            self.failure = failure
            self.server = server
            self.name = name
            self.files = files
        }
    }
}

extension RedisMisfit: CustomStringConvertible {
    /// What it is, and what to do about it; daemon and command line use the same words.
    package var description: String {
        switch self {
        case .tooOld(let version): "Redis \(version) is too old: 7.0 or later, or Valkey"
        case .sentinel: "this is a Sentinel: Tollgate speaks to one server: give the address of the primary"
        case .clusterNode:
            "this is a node of a cluster: Tollgate speaks to one server: give the address of one outside a cluster"
        case .replica: "this is a replica: give the address of its primary"
        case .encrypted: "it speaks TLS: begin its URL with rediss://"
        case .insecure(let insecurity): "\(insecurity)"
        }
    }
}

extension RedisMisfit.Insecurity: CustomStringConvertible {
    package var description: String {
        switch failure {
        case .untrusted:
            "the certificate of \(server) isn't signed by "
                + (files.authorities == nil ? "an authority that the system trusts (redis.tls.ca)" : "redis.tls.ca")
        case .expired: "the certificate of \(server) has expired"
        case .notYetValid: "the certificate of \(server) isn't valid yet; is the clock right?"
        case .otherName: "the certificate of \(server) is for other names than \(name) (redis.tls.server_name)"
        case .wantsCertificate: "\(server) wants a client certificate (redis.tls.certificate)"
        case .refusesCertificate(let reason):
            "\(server) refuses the client certificate (redis.tls.certificate): \(reason)"
        case .declined: "\(server) declines TLS" + files.doubt
        case .notTLS: "\(server) doesn't speak TLS there: is it its tls-port?"
        case .other(let reason): "no TLS with \(server): \(reason)"
        }
    }
}

extension CertificateFiles {
    /// What to ask where a server may miss something.
    var doubt: String { identity == nil ? "; does it want a client certificate (redis.tls.certificate)?" : "" }
}
