// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import Settings
import TLS
import TestSupport
import Testing

@testable import tollgate

@Suite struct CertificateWatchTests {
    /// May be asked within an expectation.
    private final class Watch {
        private var watch: CertificateWatch

        init(logger: Logger) { watch = CertificateWatch(logger: logger) }

        func areOthers(than security: ServerTrust?) -> Bool {
            let user = security.map { security in
                CertificateUser("redis.tls", security) { $0.redis.endpoint.security?.certificates = $1 }
            }
            return watch.areOthers(than: [user].compactMap(\.self))
        }
    }

    private static func security(_ folder: String) throws -> ServerTrust {
        let files = CertificateFiles(
            authorities: "\(folder)/ca.crt",
            identity: CertificateFiles.Identity(certificate: "\(folder)/own.crt", key: "\(folder)/own.key"))
        try CertificatePair.write(CertificatePair.one.certificate, to: "\(folder)/ca.crt")
        try CertificatePair.write(CertificatePair.one.certificate, to: "\(folder)/own.crt")
        try CertificatePair.write(CertificatePair.one.key, to: "\(folder)/own.key")
        return ServerTrust(files: files, certificates: try Certificates(reading: files))
    }

    @Test func aFileWithoutNewsIsNoneToTell() async throws {
        try await CertificatePair.withFolder { folder in
            let security = try Self.security(folder)
            let log = RecordedLog()
            let watch = Watch(logger: log.logger)
            #expect(!watch.areOthers(than: security))
            try CertificatePair.write(CertificatePair.one.certificate, to: "\(folder)/ca.crt")
            #expect(!watch.areOthers(than: security))
            #expect(!watch.areOthers(than: nil))
            #expect(!watch.areOthers(than: security))
            #expect(log.lines == [])
        }
    }

    /// The pair is in the middle of being written for a while, which is told once.
    @Test func aPairIsAnotherOnceItIsOne() async throws {
        try await CertificatePair.withFolder { folder in
            let security = try Self.security(folder)
            let log = RecordedLog()
            let watch = Watch(logger: log.logger)
            #expect(!watch.areOthers(than: security))
            try CertificatePair.write(CertificatePair.two.certificate, to: "\(folder)/own.crt")
            #expect(!watch.areOthers(than: security))
            #expect(!watch.areOthers(than: security))
            try CertificatePair.write(CertificatePair.two.certificate, to: "\(folder)/own.crt")
            #expect(!watch.areOthers(than: security))
            try CertificatePair.write(CertificatePair.two.key, to: "\(folder)/own.key")
            #expect(watch.areOthers(than: security))
            let mismatch =
                "warning certificates can't be read: the last ones stay in force error=one that doesn't belong "
                + "to \(folder)/own.crt file=\(folder)/own.key setting=redis.tls"
            #expect(log.lines == [mismatch, "notice certificates can be read again setting=redis.tls"])
        }
    }

    /// By a link on the way to them, as Kubernetes does it.
    @Test func aSwappedLinkIsSeen() async throws {
        try await CertificatePair.withFolder { folder in
            var security = try Self.security(folder)
            security.files = CertificateFiles(authorities: "\(folder)/now/ca.crt")
            for pair in CertificatePair.allCases {
                try CertificatePair.write(pair.certificate, to: "\(folder)/\(pair)/ca.crt")
            }
            try CertificatePair.link("\(folder)/now", to: "one")
            security.certificates = try Certificates(reading: security.files)
            let watch = Watch(logger: RecordedLog().logger)
            #expect(!watch.areOthers(than: security))
            try CertificatePair.link("\(folder)/now", to: "two")
            #expect(watch.areOthers(than: security))
        }
    }
}
