// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Logging
import NIOConcurrencyHelpers
import Octets
import Settings
import TLS

/// Puts changed configurations to work, one after the other, for as long as requests are served.
///
/// | what happens | what is done |
/// |---|---|
/// | SIGHUP | the access log is opened anew, and the file read again |
/// | documents tell other routes | those are put to work |
/// | the file of Redis' password has another one | connections that are there stay, and are known by it |
/// | the file of keys' checks has other secrets | keys prove themselves by those |
/// | a file of certificates says something else | connections that are there stay; others are made by it |
/// | the file, or a link on the way to it, changes | it is read again |
/// | it says what it said | nothing |
/// | it is wrong, or can't be put to work | all stays as it is; the log and ``ConfigurationState`` say why |
struct Reloader: Sendable {
    struct Trigger: Sendable {
        enum Cause: Sendable {
            case signal, file
            /// Documents tell other routes than before.
            case routes
            /// The file of Redis' password has another one than is in force.
            case password
            /// The file of secrets that keys' checks are made with has others than are in force.
            case checks
            /// Files of certificates say something else than what is in force.
            case certificates
        }

        let cause: Cause
        /// When it happened.
        let at: ContinuousClock.Instant

        init(_ cause: Cause, at: ContinuousClock.Instant = .now) {
            self.cause = cause
            self.at = at
        }
    }

    /// What of the process goes by settings.
    struct Parts: Sendable {
        /// All or nothing; `ready` is waited for when all else is there.
        var requests: @Sendable (Settings, _ ready: @Sendable () async throws -> Void) async throws -> Void
        var admin: AdminAddress
        /// Settings as the file has them, with the routes that documents tell.
        var merge: @Sendable (Settings, _ before: Settings) async throws -> Settings
        /// The same for those in force, without a look at the documents.
        var update: @Sendable (Settings) -> Settings
        /// What can't fail.
        var others: @Sendable (Settings) async -> Void
        var reopenLog: @Sendable () async -> Void
        /// For whoever has sent a signal, and waits until it is obeyed.
        var willObey: @Sendable () -> Void
        var hasObeyed: @Sendable () async -> Void
    }

    let sources: ConfigurationSources
    let state: ConfigurationState
    let parts: Parts
    let logger: Logger

    /// Until the task is cancelled, which ends an attempt that is under way.
    ///
    /// - Parameter text: what the file said when the process began.
    func run(_ triggers: AsyncStream<Trigger>, from text: String?) async {
        var reader = ConfigurationReader(sources, after: text)
        for await trigger in triggers {
            switch trigger.cause {
            case .routes: await takeRoutes()
            case .password: await takePassword()
            case .checks: await takeChecks()
            case .certificates: await takeCertificates()
            case .file: await reload(trigger, &reader)
            case .signal:
                parts.willObey()
                logger.info("opening the access log anew")
                await parts.reopenLog()
                await reload(trigger, &reader)
                await takeCertificates()
                await parts.hasObeyed()
            }
            if Task.isCancelled { return }
        }
    }

    private func reload(_ trigger: Trigger, _ reader: inout ConfigurationReader) async {
        guard reader.hasFile else { return tellUnchanged("there is no file to read again") }
        let isSignal = trigger.cause == .signal
        do {
            guard let (read, text) = try reader.read(again: isSignal && !state.report.isLastReloadGood) else {
                if isSignal { tellUnchanged("the file has not changed") }
                return
            }
            let settings = try await parts.merge(read, state.settings)
            try await apply(settings)
            reader.keep(text)
            state.succeed(settings, text: text)
            logger.notice(
                "configuration reloaded",
                metadata: [
                    "config.hash": "\(state.report.hash ?? "")",
                    "took_ms": "\(trigger.at.duration(to: .now).wholeMilliseconds)",
                ])
            logger.tellWarnings(of: settings)
            tellUnknownRoutes(of: settings)
        } catch is CancellationError {
            // The process ends.
        } catch let error as ConfigurationError {
            fail(error.lines)
        } catch  where Task.isCancelled {
            // A document wasn't waited for any longer.
        } catch {
            fail(["\(error)"])
        }
    }

    private func tellUnchanged(_ reason: String) {
        logger.notice("configuration unchanged", metadata: ["reason": "\(reason)"])
    }

    private func apply(_ settings: Settings) async throws {
        let before = state.settings
        if settings != before {
            let next = NIOLockedValueBox<AdminAddress.Next?>(nil)
            do {
                try await parts.requests(settings) { [admin = parts.admin] in
                    guard settings.admin != before.admin else { return }
                    let ready = try await admin.prepare(settings)
                    next.withLockedValue { $0 = ready }
                }
            } catch {
                await next.withLockedValue { $0 }?.discard()
                throw error
            }
            if let next = next.withLockedValue({ $0 }) { await parts.admin.change(to: next) }
            await parts.others(settings)
        }
    }

    /// The configuration is as it was, and so is what is said of its last change.
    private func takeRoutes() async {
        do {
            let settings = parts.update(state.settings)
            try await apply(settings)
            state.adopt(settings)
            tellUnknownRoutes(of: settings)
        } catch is CancellationError {
            // The process ends.
        } catch {
            state.refuseRoutes("\(error)")
            logger.error("routes not changed: all stays as it was", metadata: ["problem": "\(error)"])
        }
    }

    private func takePassword() async {
        var settings = state.settings
        let redis = settings.redis
        var taken: [String] = []
        for (file, password) in [
            (redis.passwordFile, \Settings.redis.endpoint.password),
            (redis.sentinelPasswordFile, \Settings.redis.endpoint.sentinelAccess.password),
        ] {
            // One that can't be read is told of by who looks at it, and doesn't keep the other from being taken.
            guard let file, let found = try? PasswordFile.password(at: file), found != settings[keyPath: password]
            else { continue }
            settings[keyPath: password] = found
            taken.append(file)
        }
        guard !taken.isEmpty else { return }
        let files = taken.joined(separator: ", ")
        do {
            try await apply(settings)
            state.adopt(settings)
            logger.notice("the password of redis has changed", metadata: ["file": "\(files)"])
        } catch is CancellationError {
            // The process ends.
        } catch {
            logger.error(
                "the password of redis was not taken: the last one stays in force",
                metadata: ["file": "\(files)", "error": "\(error)"])
        }
    }

    private func takeChecks() async {
        var settings = state.settings
        guard let file = settings.keys.checkFile else { return }
        do {
            settings.keys.checkSecrets = try CheckFile.secrets(at: file)
            try await apply(settings)
            state.adopt(settings)
            logger.notice("the secrets of keys.check_file have changed", metadata: ["file": "\(file)"])
        } catch is CancellationError {
            // The process ends.
        } catch {
            logger.error(
                "the secrets of keys.check_file were not taken: the last ones stay in force",
                metadata: ["file": "\(file)", "error": "\(error)"])
        }
    }

    /// Does nothing where they say what they said. Whose can't be read keep none of the others waiting.
    private func takeCertificates() async {
        var settings = state.settings
        var changed: [CertificateUser] = []
        for user in settings.certificateUsers {
            do throws(CertificateFlaw) {
                guard let take = try user.read() else { continue }
                take(&settings)
                changed.append(user)
            } catch {
                refuse([user], error)
            }
        }
        guard !changed.isEmpty else { return }
        do {
            try await apply(settings)
            state.adopt(settings)
            for user in changed {
                logger.notice(
                    "certificates have changed: new connections go by them",
                    metadata: ["setting": "\(user.setting)", "files": "\(user.files)"])
            }
        } catch is CancellationError {
            // The process ends.
        } catch {
            refuse(changed, error)
        }
    }

    private func refuse(_ users: [CertificateUser], _ error: any Error) {
        for user in users {
            logger.error(
                "certificates were not taken: the last ones stay in force",
                metadata: ["setting": "\(user.setting)", "error": "\(error)"])
        }
    }

    /// A document told a route no more, or never.
    private func tellUnknownRoutes(of settings: Settings) {
        for (policy, route) in settings.unknownPolicyRoutes {
            logger.warning(
                "a policy names a route that is neither listed nor in a document",
                metadata: ["policy": "\(policy)", "route": "\(route)"])
        }
    }

    private func fail(_ problems: [String]) {
        state.fail(problems)
        for problem in problems {
            logger.error("configuration not reloaded: all stays as it was", metadata: ["problem": "\(problem)"])
        }
    }
}

extension Duration {
    fileprivate var wholeMilliseconds: Int64 {
        components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
    }
}
