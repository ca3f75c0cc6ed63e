// SPDX-License-Identifier: Apache-2.0

import Logging
import TLS

/// Whether files of certificates say something else than what is in force. Most of the time they are only looked at; what is
/// in them is read when one of them is another, and each time while they aren't what is in force: why they aren't may have an
/// end that no file shows.
struct CertificateWatch {
    /// What was seen of one user's.
    private struct Sight {
        let files: String
        /// How they were when they were what is in force.
        var stamps: [FileStamp?]?
        /// What is wrong with them, which was told.
        var flaw: CertificateFlaw?
    }

    private let logger: Logger
    /// By the user's setting.
    private var sights: [String: Sight] = [:]

    init(logger: Logger) {
        self.logger = logger
    }

    /// A certificate without its key, or half of one, is told, and read again when it has changed.
    ///
    /// - Parameter users: all of them, with what is in force.
    mutating func areOthers(than users: [CertificateUser]) -> Bool {
        let before = sights
        sights = [:]
        var areOthers = false
        for user in users {
            var sight = Sight(files: user.files)
            if let known = before[user.setting], known.files == user.files { sight = known }
            if saysOthers(user, &sight) { areOthers = true }
            sights[user.setting] = sight
        }
        return areOthers
    }

    private func saysOthers(_ user: CertificateUser, _ sight: inout Sight) -> Bool {
        // As they were before they are read: whoever writes meanwhile is seen the next time.
        let found = user.stamps
        guard sight.stamps != found else { return false }
        sight.stamps = nil
        do throws(CertificateFlaw) {
            let areOthers = try user.read() != nil
            if sight.flaw != nil {
                logger.notice("certificates can be read again", metadata: ["setting": "\(user.setting)"])
            }
            sight.flaw = nil
            if !areOthers { sight.stamps = found }
            return areOthers
        } catch {
            if error != sight.flaw {
                logger.warning(
                    "certificates can't be read: the last ones stay in force",
                    metadata: ["setting": "\(user.setting)", "file": "\(error.path)", "error": "\(error.reason)"])
            }
            sight.flaw = error
            return false
        }
    }
}
