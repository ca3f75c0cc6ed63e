// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import TLS

/// Whether files of certificates say something else than what is in force. Most of the time they are only looked at; what is
/// in them is read when one of them is another.
struct CertificateWatch {
    private let logger: Logger
    /// What was looked at last, and how it was.
    private var last: (files: CertificateFiles, stamps: [FileStamp?])?
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
            (last, flaw) = (nil, nil)
            return false
        }
        let stamps = security.files.stamps
        if let last, last.files == security.files, last.stamps == stamps { return false }
        if last?.files != security.files { flaw = nil }
        // As they were before they are read: whoever writes meanwhile is seen the next time.
        last = (security.files, stamps)
        do throws(CertificateFlaw) {
            let certificates = try Certificates(reading: security.files)
            if flaw != nil { logger.notice("the certificates for redis can be read again") }
            flaw = nil
            return certificates != security.certificates
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
