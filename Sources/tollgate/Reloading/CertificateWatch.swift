// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import TLS

/// Whether files of certificates say something else than what is in force. Most of the time they are only looked at; what is
/// in them is read when one of them is another, and each time while they aren't what is in force: why they aren't may have an
/// end that no file shows.
struct CertificateWatch {
    private let logger: Logger
    private var files: CertificateFiles?
    /// How they were when they were what is in force.
    private var stamps: [FileStamp?]?
    /// What is wrong with them, which was told.
    private var flaw: CertificateFlaw?

    init(logger: Logger) {
        self.logger = logger
    }

    /// A certificate without its key, or half of one, is told, and read again when it has changed.
    ///
    /// - Parameter security: in force.
    mutating func areOthers(than security: RedisEndpoint.Security?) -> Bool {
        guard let security else {
            (files, stamps, flaw) = (nil, nil, nil)
            return false
        }
        if files != security.files { (files, stamps, flaw) = (security.files, nil, nil) }
        // As they were before they are read: whoever writes meanwhile is seen the next time.
        let found = security.files.stamps
        guard stamps != found else { return false }
        stamps = nil
        do throws(CertificateFlaw) {
            let certificates = try Certificates(reading: security.files)
            if flaw != nil { logger.notice("the certificates for redis can be read again") }
            flaw = nil
            let areOthers = certificates != security.certificates
            if !areOthers { stamps = found }
            return areOthers
        } catch {
            if error != flaw {
                logger.warning(
                    "the certificates for redis can't be read: the last ones stay in force",
                    metadata: ["file": "\(error.path)", "error": "\(error.reason)"])
            }
            flaw = error
            return false
        }
    }
}
