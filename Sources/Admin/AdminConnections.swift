// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// The connections of the admin address, on one loop.
///
/// Health checks need one or two. Where somebody opens more and more, the one that is unused for longest makes room for the
/// newest, so that neither they pile up nor health checks are shut out.
final class AdminConnections {
    /// Half of the descriptors that ``Settings`` keeps free of requests.
    static let most = 32

    private let loop: any EventLoop
    let streams: PageStreams?
    /// The one that is unused for longest first.
    private var open: [AdminConnection] = []
    private(set) var isEnding = false
    private var ended: EventLoopPromise<Void>?

    /// - Parameter page: nil where there is none.
    init(on loop: any EventLoop, page: PageContents? = nil) {
        self.loop = loop
        streams = page.map { PageStreams(of: $0, on: loop) }
    }

    func add(_ connection: AdminConnection) {
        open.append(connection)
        if isEnding { return connection.end() }
        guard open.count > Self.most else { return }
        // The newest is idle too, but not what has to go.
        (open.dropLast().first { !$0.isAnswering } ?? open[0]).abort()
    }

    func touch(_ connection: AdminConnection) {
        guard let index = open.firstIndex(where: { $0 === connection }) else { return }
        open.append(open.remove(at: index))
    }

    func remove(_ connection: AdminConnection) {
        open.removeAll { $0 === connection }
        if open.isEmpty { ended?.succeed() }
    }

    /// Ends what is idle, and the others after their answers.
    ///
    /// - Returns: when all are gone.
    func endAll() -> EventLoopFuture<Void> {
        isEnding = true
        if let ended { return ended.futureResult }
        guard !open.isEmpty else { return loop.makeSucceededVoidFuture() }
        let ended = loop.makePromise(of: Void.self)
        self.ended = ended
        // Ending takes them out of the list.
        for connection in open.map(\.self) { connection.end() }
        return ended.futureResult
    }

    func abortAll() {
        for connection in open.map(\.self) { connection.abort() }
    }
}
