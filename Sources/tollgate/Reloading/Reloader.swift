// SPDX-License-Identifier: Apache-2.0

import LibC
import Logging
import NIOConcurrencyHelpers
import Settings

/// Puts changed configurations to work, one after the other, for as long as requests are served.
///
/// | what happens | what is done |
/// |---|---|
/// | SIGHUP | the access log is opened anew, and the file read again |
/// | documents tell other routes | those are put to work |
/// | the file, or a link on the way to it, changes | it is read again |
/// | it says what it said | nothing |
/// | it is wrong, or can't be put to work | all stays as it is; the log and ``ConfigurationState`` say why |
struct Reloader: Sendable {
    enum Trigger: Sendable {
        case signal, file
        /// Documents tell other routes than before.
        case routes
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
    }

    let sources: ConfigurationSources
    let state: ConfigurationState
    let parts: Parts
    let logger: Logger

    /// Until the task is cancelled, which ends an attempt that is under way.
    func run(_ triggers: AsyncStream<Trigger>, from text: String?) async {
        var last = text
        for await trigger in triggers {
            if trigger == .signal {
                logger.info("opening the access log anew")
                await parts.reopenLog()
            }
            if trigger == .routes { await takeRoutes() } else { await reload(trigger, &last) }
            if Task.isCancelled { return }
        }
    }

    /// - Parameter last: what the file said when it was read last, whatever came of it.
    private func reload(_ trigger: Trigger, _ last: inout String?) async {
        guard let path = sources.path else { return tellUnchanged("there is no file to read again") }
        do {
            let before = last
            // A file that can't be read has said nothing, and says something when it is back.
            last = nil
            let text = try read(path)
            let isAsBefore = text == before
            last = text
            guard !isAsBefore || trigger == .signal && !state.report.isLastReloadGood else {
                if trigger == .signal { tellUnchanged("the file has not changed") }
                return
            }
            let read = try Settings.load(sources, text: text)
            // What can't be put to work now may be so the next time the file is touched.
            last = nil
            let settings = try await parts.merge(read, state.settings)
            try await apply(settings)
            last = text
            state.succeed(settings, text: text)
            logger.notice("configuration reloaded", metadata: ["config.hash": "\(state.report.hash ?? "")"])
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

    private func read(_ path: String) throws -> String {
        var status = stat()
        // A pipe has said what it had to say.
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG, status.st_mode & S_IFMT != S_IFDIR {
            throw ReloadRefusal("\(path): expected a file that can be read again, got a pipe or a device")
        }
        let text = try sources.text() ?? ""
        // Whoever writes it has just begun: nothing in it would mean that every default is wanted.
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw ReloadRefusal("\(path): expected settings, got nothing")
        }
        return text
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
            logger.error("routes not changed: all stays as it was", metadata: ["problem": "\(error)"])
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

/// Why a file isn't even looked into.
private struct ReloadRefusal: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
