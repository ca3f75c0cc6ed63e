// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOConcurrencyHelpers
import NIOCore
import TLS

/// TLS handshakes that fail, told by reason: the first at once, then one at most every ten seconds, with how many there were
/// meanwhile. Anybody can have one fail.
///
/// Shared by all loops; its lock is taken where a handshake fails, never for a request.
final class HandshakeLog: Sendable {
    private struct Told {
        var at: NIODeadline
        /// Since then.
        var others = 0
    }

    private static let pause = TimeAmount.seconds(10)

    private let logger: Logger
    private let told = NIOLockedValueBox<[FailedHandshake: Told]>([:])

    init(logger: Logger) {
        self.logger = logger
    }

    /// - Parameters:
    ///   - text: what was wrong.
    ///   - client: its address.
    func failed(_ failure: FailedHandshake, _ text: String, client: String, at now: NIODeadline) {
        let others: Int? = told.withLockedValue { told in
            guard let last = told[failure], now < last.at + Self.pause else {
                let others = told[failure]?.others ?? 0
                told[failure] = Told(at: now)
                return others
            }
            told[failure]?.others += 1
            return nil
        }
        guard let others else { return }
        var metadata: Logger.Metadata = ["reason": "\(failure)", "error": "\(text)", "client": "\(client)"]
        if others > 0 { metadata["others"] = "\(others)" }
        logger.notice("a TLS handshake of a client failed", metadata: metadata)
    }
}
