// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Settings
import TLS

/// A setting that goes by files of certificates: where they are, and how what is in them is put in the place of what is in
/// force.
struct CertificateUser: Sendable {
    typealias Taking = @Sendable (inout Settings) -> Void

    /// As messages name it: `redis.tls`. No two have the same.
    let setting: String
    /// As messages name them, each by its path.
    let files: String
    private let look: @Sendable () -> [FileStamp?]
    private let reading: @Sendable () throws(CertificateFlaw) -> Taking?

    /// - Parameter reading: returns nil where the files say what is in force.
    init(
        _ setting: String, _ files: String, stamps: @escaping @Sendable () -> [FileStamp?],
        reading: @escaping @Sendable () throws(CertificateFlaw) -> Taking?
    ) {
        self.setting = setting
        self.files = files
        look = stamps
        self.reading = reading
    }

    /// - Parameter take: puts other certificates into settings.
    init(
        _ setting: String, _ trust: ServerTrust,
        take: @escaping @Sendable (inout Settings, Certificates) -> Void
    ) {
        self.init(setting, "\(trust.files)", stamps: { trust.files.stamps }) { () throws(CertificateFlaw) in
            let certificates = try trust.read()
            guard certificates != trust.certificates else { return nil }
            return { take(&$0, certificates) }
        }
    }

    /// What changes when one of the files does.
    var stamps: [FileStamp?] { look() }

    /// Reads the files: never on an event loop.
    ///
    /// - Returns: how settings take what is in them; nil where it is in force.
    func read() throws(CertificateFlaw) -> Taking? { try reading() }
}

extension Settings {
    /// Whoever goes by certificates, in force as these settings have them.
    var certificateUsers: [CertificateUser] {
        let redis = self.redis.endpoint.security.map { security in
            CertificateUser("redis.tls", security) { $0.redis.endpoint.security?.certificates = $1 }
        }
        let upstream = self.upstream.security.map { security in
            CertificateUser("upstream.tls", security) { $0.upstream.security?.certificates = $1 }
        }
        return [redis, upstream].compactMap(\.self) + listen.indices.compactMap(listener)
    }

    /// What is shown where clients connect.
    private func listener(_ index: Int) -> CertificateUser? {
        guard let tls = listen[index].opening.tls else { return nil }
        let setting = listen.count == 1 ? "listen.tls" : "listen[\(index)].tls"
        return CertificateUser(setting, "\(tls.files)", stamps: { tls.files.stamps }) { () throws(CertificateFlaw) in
            let certificates = try ServerCertificates(reading: tls.files, least: tls.least)
            guard certificates != tls.certificates else { return nil }
            return { $0.listen[index].opening.tls?.certificates = certificates }
        }
    }
}
