// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
package import Settings
import NIOConcurrencyHelpers
import TLS

/// Reads the documents that `routes` names, again and again, and knows what they told last.
///
/// | what happens | what is known then |
/// |---|---|
/// | a document is read | its operations |
/// | it is unchanged, can't be read, or is wrong | what it told before; wrong is said once, until it is right again |
/// | it was never read | nothing: unlisted paths are 503, and it is asked for once a second |
package final class Discovery: Sendable {
    /// In milliseconds: a minute, and not the same one for all sidecars.
    private static let interval: ClosedRange<Int64> = 54_000...66_000
    /// While a document was never read.
    private static let retryInterval = TimeAmount.seconds(1)
    /// Of what can't be routes, a line each, so many are named.
    private static let mostNamed = 10

    private struct Known {
        var etag: [UInt8]?
        var routes: [Settings.Route] = []
        /// Operations that can't be routes, in words.
        var left: [String] = []
        var wasRead = false
        /// As it was told last; nil where all is well.
        var problem: DiscoveryFault?
    }

    private let group: any EventLoopGroup
    private let logger: Logger
    private let known = NIOLockedValueBox<[Settings.Discovery.Source: Known]>([:])

    package init(on group: any EventLoopGroup, logger: Logger) {
        self.group = group
        self.logger = logger
    }

    /// Settings as they come from a file, with all that is known of their documents.
    package func merged(_ settings: Settings) -> Settings {
        guard let discovery = settings.discovery else { return settings }
        let told = known.withLockedValue { known in discovery.sources.map { known[$0] ?? Known() } }
        let precedence = Precedence(discovery.listed)
        var shapes: Set<String> = []
        let found = told.flatMap(\.routes).filter { route in
            guard !precedence.takes(route.path) else { return false }
            // Of two documents that have a path the first is heard.
            return shapes.insert(Settings.Route.shape(ofPath: route.path) ?? route.path).inserted
        }
        return settings.with(found: found, isComplete: told.allSatisfy(\.wasRead))
    }

    /// The same for settings that are to take the place of others: documents that those didn't name are read now.
    ///
    /// Called by one task at a time. What a document in force told stays known while it is, whatever comes of the change.
    ///
    /// - Parameter before: nil where none are in force.
    /// - Throws: where one can't be read. A change that would close every path it doesn't list isn't made.
    package func merged(_ settings: Settings, after before: Settings?) async throws(DiscoveryError) -> Settings {
        let inForce = before?.discovery?.sources ?? []
        known.withLockedValue { known in known = known.filter { inForce.contains($0.key) } }
        for source in settings.discovery?.sources ?? [] where !inForce.contains(source) {
            do throws(DiscoveryFault) {
                try await read(source, by: settings.upstream.security)
            } catch {
                throw DiscoveryError(source: source, fault: error)
            }
        }
        return merged(settings)
    }

    /// What is known of the documents that settings name, in their order.
    package func reports(of settings: Settings) -> [DocumentReport] {
        let sources = settings.discovery?.sources ?? []
        return known.withLockedValue { known in
            sources.map { source in
                let told = known[source] ?? Known()
                return DocumentReport(
                    document: "\(source)", wasRead: told.wasRead, routes: told.routes.count, leftOut: told.left.count,
                    firstLeftOut: told.left.prefix(Self.mostNamed).map { $0.cut(to: 256) },
                    problem: told.problem.map { "\($0)" })
            }
        }
    }

    /// Until the task is cancelled.
    ///
    /// - Parameters:
    ///   - settings: in force.
    ///   - changed: called when documents tell other routes than those have, as often as they were asked until it is so
    ///     no more: what couldn't be put to work is tried again.
    package func run(_ settings: @Sendable () -> Settings, changed: @Sendable () -> Void) async {
        while !Task.isCancelled {
            await refresh(settings().discovery?.sources ?? [], settings, changed)
            let end = NIODeadline.now() + .milliseconds(.random(in: Self.interval))
            while !Task.isCancelled {
                let sources = settings().discovery?.sources ?? []
                let unread = known.withLockedValue { known in sources.filter { known[$0]?.wasRead != true } }
                if unread.isEmpty || NIODeadline.now() >= end { break }
                await pause(Self.retryInterval)
                await refresh(unread, settings, changed)
            }
            await pause(end - .now())
        }
    }

    private func refresh(
        _ sources: [Settings.Discovery.Source], _ settings: @Sendable () -> Settings, _ changed: @Sendable () -> Void
    ) async {
        for source in sources {
            let inForce = settings()
            // One that a change has taken away meanwhile isn't asked by the trust of what has come in its place.
            guard inForce.discovery?.sources.contains(source) == true else { continue }
            await refresh(source, by: inForce.upstream.security)
        }
        let inForce = settings()
        if !Task.isCancelled, merged(inForce) != inForce { changed() }
    }

    /// By an event loop's clock, which ends it at once where the task is cancelled.
    private func pause(_ time: TimeAmount) async {
        let end = group.next().scheduleTask(in: time) {}
        await withTaskCancellationHandler {
            // What is cancelled fails, and is over as well.
            try? await end.futureResult.get()
        } onCancel: {
            end.cancel()
        }
    }

    private func refresh(_ source: Settings.Discovery.Source, by trust: ServerTrust?) async {
        do throws(DiscoveryFault) {
            try await read(source, by: trust)
            let wasBad = known.withLockedValue { known in
                defer { known[source]?.problem = nil }
                return known[source]?.problem != nil
            }
            if wasBad { logger.info("routes are read again", metadata: ["openapi": "\(source)"]) }
        } catch {
            guard !Task.isCancelled else { return }
            let isNew = known.withLockedValue { known in
                defer { known[source, default: Known()].problem = error }
                return known[source]?.problem != error
            }
            if isNew {
                logger.warning(
                    "routes can't be read: the previous ones stay in force",
                    metadata: ["openapi": "\(source)", "error": "\(error)"])
            }
        }
    }

    private func read(
        _ source: Settings.Discovery.Source, by trust: ServerTrust?
    ) async throws(DiscoveryFault) {
        let before = known.withLockedValue { $0[source] } ?? Known()
        let (octets, etag): ([UInt8], [UInt8]?)
        do throws(FetchError) {
            switch try await DocumentFetch.ask(source, by: trust, etag: before.etag, on: group) {
            case .unchanged:
                guard before.wasRead else { throw .status(304) }
                return
            case .document(let document, let tag): (octets, etag) = (document, tag)
            }
        } catch {
            throw .fetch(error)
        }
        let document: Document
        do throws(DocumentFlaw) {
            document = try Document(octets, readAt: source.target)
        } catch {
            throw .document(error)
        }
        var left = document.skipped
        let routes = document.routes(rest: source.rest) { left.append($0) }
        let hasChanged = !before.wasRead || routes != before.routes
        known.withLockedValue { known in
            let problem = known[source]?.problem
            known[source] = Known(etag: etag, routes: routes, left: left, wasRead: true, problem: problem)
        }
        if hasChanged { tell(of: routes, left, source) }
    }

    private func tell(of routes: [Settings.Route], _ left: [String], _ source: Settings.Discovery.Source) {
        logger.notice(
            "routes read", metadata: ["openapi": "\(source)", "routes": "\(routes.count)", "left.out": "\(left.count)"])
        for operation in left.prefix(Self.mostNamed) {
            logger.warning(
                "an operation is no route: list it by hand to serve it",
                metadata: ["openapi": "\(source)", "operation": "\(operation.cut(to: 256))"])
        }
    }
}

/// What came of a document so far.
package struct DocumentReport: Sendable, Equatable {
    /// Its URL.
    package var document: String
    /// At some time; what it told then is known still.
    package var wasRead: Bool
    package var routes: Int
    /// Operations that can't be routes: nobody is served them, unless they are listed.
    package var leftOut: Int
    /// The first of them, in words.
    package var firstLeftOut: [String]
    /// Why it couldn't be read the last time; nil where it could.
    package var problem: String?
}

/// Why a document tells nothing: it doesn't come, or is none.
package enum DiscoveryFault: Error, Sendable, Equatable, CustomStringConvertible {
    case fetch(FetchError)
    case document(DocumentFlaw)

    package var description: String {
        switch self {
        case .fetch(let error): error.description
        case .document(let flaw): flaw.description
        }
    }
}

/// A document that is needed can't be read.
package struct DiscoveryError: Error, Sendable, CustomStringConvertible {
    let source: Settings.Discovery.Source
    let fault: DiscoveryFault

    package var description: String { "routes: openapi \(source): \(fault)" }
}
