// SPDX-License-Identifier: Apache-2.0

#if TLS
    import Digests
    import NIOSSL
    import Octets

    /// A file of certificates or of a key, read to be used.
    struct PEMFile {
        /// Of one file. That of a system's authorities has a quarter of it.
        private static let mostBytes = 1024 * 1024

        let part: CertificateFlaw.Part
        let path: String
        let octets: [UInt8]

        init(_ part: CertificateFlaw.Part, _ path: String) throws(CertificateFlaw) {
            self.part = part
            self.path = path
            do throws(FileFlaw) {
                octets = try FileContents.octets(at: path, most: Self.mostBytes)
            } catch {
                throw CertificateFlaw(part: part, path: path, reason: error.description)
            }
            guard octets.count <= Self.mostBytes else {
                throw CertificateFlaw(part: part, path: path, reason: "more than 1 MiB")
            }
        }

        /// All that are in it, at least one.
        func certificates() throws(CertificateFlaw) -> [NIOSSLCertificate] {
            do {
                let all = try NIOSSLCertificate.fromPEMBytes(octets)
                guard all.isEmpty else { return all }
            } catch {
                // In words of its own, for those of BoringSSL say which line of its source it was.
            }
            throw CertificateFlaw(part: part, path: path, reason: "no certificate in PEM, or one that is cut off")
        }

        func privateKey() throws(CertificateFlaw) -> NIOSSLPrivateKey {
            do {
                return try NIOSSLPrivateKey(bytes: octets, format: .pem)
            } catch {
                throw CertificateFlaw(
                    part: part, path: path, reason: "no private key in PEM without a passphrase, or one that is cut off"
                )
            }
        }
    }

    extension SHA256Digest {
        /// Of all that is in several files, each told from the next.
        init(of files: [PEMFile]) {
            self.init(of: files.flatMap { Array("\($0.octets.count):".utf8) + $0.octets })
        }
    }
#endif
