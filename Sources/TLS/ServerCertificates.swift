// SPDX-License-Identifier: Apache-2.0

/// The oldest version of TLS that a listener speaks.
package enum LeastVersion: String, Sendable, Hashable {
    case tls12 = "1.2"
    case tls13 = "1.3"
}

#if TLS
    import Digests
    import NIOCore
    import NIOSSL

    /// What the files of a listener held when they were read, and the terms that it speaks TLS by. It is immutable: a file that
    /// has changed makes another one, which connections that are accepted from then on go by.
    ///
    /// To make one reads files and parses certificates: never on an event loop.
    package struct ServerCertificates: Sendable {
        package let files: ServerFiles
        package let least: LeastVersion
        /// When the first of the certificates in each file of ``ServerFiles/identities`` ends, in seconds since 1970.
        package let ends: [Int]
        /// Of all that was in the files.
        private let digest: SHA256Digest
        /// Of the authorities of clients; nil where there are none.
        private let digestOfAuthorities: SHA256Digest?
        private let context: NIOSSLContext

        /// - Throws: which file is of no use, and why. Of a certificate and a key of which only one is written yet, that the key
        ///   is another's.
        package init(reading files: ServerFiles, least: LeastVersion) throws(CertificateFlaw) {
            precondition(!files.identities.isEmpty, "A server says who it is")
            self.files = files
            self.least = least
            var contents: [PEMFile] = []
            var identities: [LoadedIdentity] = []
            for files in files.identities { identities.append(try LoadedIdentity(reading: files, &contents)) }
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: identities[0].chain, privateKey: identities[0].key)
            configuration.minimumTLSVersion = least == .tls13 ? .tlsv13 : .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            // Who closes doesn't wait for the other side's word, as without TLS.
            configuration.shutdownTimeout = .zero
            if let path = files.clientAuthorities {
                let authorities = try PEMFile(.authorities, path)
                configuration.trustRoots = .certificates(try authorities.certificates())
                // A client's name is compared with nothing that we know of it.
                configuration.certificateVerification = .noHostnameVerification
                configuration.sendCANameList = true
                contents.append(authorities)
                digestOfAuthorities = SHA256Digest(of: [authorities])
            } else {
                digestOfAuthorities = nil
            }
            if identities.count > 1 {
                configuration.sslContextCallback = Self.choice(among: identities)
            }
            ends = identities.map(\.end)
            digest = SHA256Digest(of: contents)
            do {
                context = try NIOSSLContext(configuration: configuration)
            } catch {
                // Its certificate and key belong together, which was seen.
                let path = files.clientAuthorities ?? files.identities[0].certificate
                let part = files.clientAuthorities == nil ? CertificateFlaw.Part.certificate : .authorities
                throw CertificateFlaw(part: part, path: path, reason: "one that can't be used: \(error)")
            }
        }

        /// TLS for one connection that was accepted, on its loop.
        package func server() -> TLSServer { TLSServer(context) }

        /// Whether both take the certificates of the same authorities from clients.
        package func takesClients(of other: ServerCertificates) -> Bool {
            digestOfAuthorities == other.digestOfAuthorities
        }

        private static func choice(among identities: [LoadedIdentity]) -> NIOSSLContextCallback {
            let names = ServerNames(identities.map(\.names))
            let overrides = identities.map { identity in
                var override = NIOSSLContextConfigurationOverride()
                override.certificateChain = identity.chain
                override.privateKey = identity.key
                return override
            }
            return { hello, promise in promise.succeed(overrides[names.place(for: hello.serverHostname)]) }
        }
    }

    /// A certificate with its key.
    private struct LoadedIdentity: Sendable {
        let chain: [NIOSSLCertificateSource]
        let key: NIOSSLPrivateKeySource
        /// Of hosts, that the certificate is for.
        let names: [String]
        /// Of the one that ends first, in seconds since 1970.
        let end: Int

        init(reading files: CertificateFiles.Identity, _ contents: inout [PEMFile]) throws(CertificateFlaw) {
            let chain = try PEMFile(.certificate, files.certificate)
            let key = try PEMFile(.key, files.key)
            contents += [chain, key]
            let certificates = try chain.certificates()
            self.chain = certificates.map { .certificate($0) }
            self.key = .privateKey(try key.privateKey())
            names = certificates[0]._subjectAlternativeNames().filter { $0.nameType == .dnsName }
                .map { String(decoding: Array($0.contents), as: UTF8.self) }
            end = certificates.reduce(Int.max) { min($0, Int($1.notValidAfter)) }
            do {
                // That they belong together, what is not asked of those that a client chooses before it does.
                _ = try NIOSSLContext(
                    configuration: .makeServerConfiguration(certificateChain: self.chain, privateKey: self.key))
            } catch {
                throw CertificateFlaw(
                    part: .key, path: files.key, reason: "one that doesn't belong to \(files.certificate)")
            }
        }
    }

    extension ServerCertificates: Hashable {
        /// What is in the files counts, not when it was written.
        package static func == (one: ServerCertificates, other: ServerCertificates) -> Bool {
            one.files == other.files && one.least == other.least && one.digest == other.digest
        }

        package func hash(into hasher: inout Hasher) {
            hasher.combine(files)
            hasher.combine(least)
            hasher.combine(digest.words.0)
        }
    }
#else
    /// There are none in a build without TLS.
    package struct ServerCertificates: Sendable, Hashable {
        package let files: ServerFiles
        package let least: LeastVersion
        package let ends: [Int] = []

        package init(reading files: ServerFiles, least: LeastVersion) throws(CertificateFlaw) {
            throw CertificateFlaw(
                part: .certificate, path: files.identities[0].certificate, reason: "a build without TLS")
        }

        package func takesClients(of other: ServerCertificates) -> Bool { true }

        package func server() -> TLSServer { preconditionFailure("There are none in a build without TLS") }
    }
#endif

extension ServerCertificates: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(files)" }

    /// Keys are in it.
    package var customMirror: Mirror { Mirror(self, children: ["files": files]) }
}
