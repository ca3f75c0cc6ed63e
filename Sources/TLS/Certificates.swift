// SPDX-License-Identifier: Apache-2.0

#if TLS
    import Digests
    import NIOCore
    import NIOSSL

    /// What the files of one side of TLS held when they were read. It is immutable: a file that has changed makes another one,
    /// which connections made from then on go by.
    ///
    /// To make one reads files and parses certificates, milliseconds for those of a system: never on an event loop.
    package struct Certificates: Sendable {
        /// This build can speak TLS.
        package static let areSupported = true

        package let files: CertificateFiles
        /// When the first of the certificates that servers are shown ends, in seconds since 1970; nil where there is none.
        package let end: Int?
        /// Of all that was in them.
        private let digest: SHA256Digest
        private let context: NIOSSLContext
        private let protocols: [String]

        /// - Parameter protocols: that servers are offered (RFC 7301).
        /// - Throws: which file is of no use, and why. Of a certificate and a key of which only one is written yet, that the key
        ///   is another's.
        package init(reading files: CertificateFiles, offering protocols: [String] = []) throws(CertificateFlaw) {
            self.files = files
            self.protocols = protocols
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.certificateVerification = .fullVerification
            // Who closes doesn't wait for the other side's word: one that is frozen would have the next connection wait.
            configuration.shutdownTimeout = .zero
            configuration.applicationProtocols = protocols
            let authorities = try PEMFile(.authorities, files.trusted)
            configuration.trustRoots = .certificates(try authorities.certificates())
            var contents = [authorities]
            if let identity = files.identity {
                let chain = try PEMFile(.certificate, identity.certificate)
                let certificates = try chain.certificates()
                configuration.certificateChain = certificates.map { .certificate($0) }
                end = certificates.map { Int($0.notValidAfter) }.min()
                let key = try PEMFile(.key, identity.key)
                configuration.privateKey = .privateKey(try key.privateKey())
                contents += [chain, key]
            } else {
                end = nil
            }
            digest = SHA256Digest(of: contents)
            do {
                context = try NIOSSLContext(configuration: configuration)
            } catch {
                guard let identity = files.identity else {
                    throw CertificateFlaw(
                        part: .authorities, path: files.trusted, reason: "one that can't be used: \(error)")
                }
                throw CertificateFlaw(
                    part: .key, path: identity.key, reason: "one that doesn't belong to \(identity.certificate)")
            }
        }

        /// TLS for one connection to a server, on its loop.
        ///
        /// - Parameter host: what its certificate has to name; nil where it has to name the address that the connection leads to,
        ///   which is told to nobody.
        package func client(of host: String?) throws -> TLSClient {
            try TLSClient(context, host: host.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 })
        }
    }

    extension Certificates: Hashable {
        /// What is in the files counts, not when it was written.
        package static func == (one: Certificates, other: Certificates) -> Bool {
            one.files == other.files && one.protocols == other.protocols && one.digest == other.digest
        }

        package func hash(into hasher: inout Hasher) {
            hasher.combine(files)
            hasher.combine(digest.words.0)
        }
    }
#else
    /// There are none in a build without TLS.
    package struct Certificates: Sendable, Hashable {
        /// This build can speak TLS.
        package static let areSupported = false

        package let files: CertificateFiles
        package let end: Int? = nil

        package init(reading files: CertificateFiles, offering protocols: [String] = []) throws(CertificateFlaw) {
            throw Self.flaw(of: files)
        }

        package func client(of host: String?) throws -> TLSClient {
            throw Self.flaw(of: files)
        }

        private static func flaw(of files: CertificateFiles) -> CertificateFlaw {
            CertificateFlaw(part: .authorities, path: files.trusted, reason: "a build without TLS")
        }
    }
#endif

extension Certificates: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(files)" }

    /// A key is in it.
    package var customMirror: Mirror { Mirror(self, children: ["files": files]) }
}
