// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Telemetry

/// The pages that are open, on the loop of the admin address: at most 16, told once a second.
///
/// What they are told is collected once for all of them. Without one there is no timer, and nobody is asked anything.
final class PageStreams {
    static let most = 16
    /// After the end of a second: loops tell it at the first tick of the next one. What comes later counts in that.
    private static let grace = TimeAmount.milliseconds(250)

    private let contents: PageContents
    private let loop: any EventLoop
    private var open: [AdminConnection] = []
    private(set) var board: PageBoard
    private var timer: Scheduled<Void>?
    private var isAsking = false
    private var beats = 0

    init(of contents: PageContents, on loop: any EventLoop) {
        self.contents = contents
        self.loop = loop
        board = PageBoard(traffic: contents.traffic)
    }

    /// - Returns: false where there are enough.
    func join(_ connection: AdminConnection) -> Bool {
        guard open.count < Self.most else { return false }
        open.append(connection)
        if open.count == 1 { begin() }
        return true
    }

    func leave(_ connection: AdminConnection) {
        guard let index = open.firstIndex(where: { $0 === connection }) else { return }
        open.remove(at: index)
        if open.isEmpty { end() }
    }

    private func begin() {
        contents.traffic.beginWatch()
        // What was told last may be long ago.
        board.forget()
        seal()
        ask()
        schedule()
    }

    private func end() {
        contents.traffic.endWatch()
        timer?.cancel()
        timer = nil
    }

    private func schedule() {
        let clock = contents.traffic.clock
        let now = NIODeadline.now()
        let (next, late) = (clock.second(of: now - Self.grace) + 1, Int64(clock.microseconds(of: now - Self.grace)))
        timer = loop.assumeIsolated().scheduleTask(in: .microseconds(Int64(next) * 1_000_000 - late)) { self.beat() }
    }

    private func beat() {
        schedule()
        seal()
        board.beat()
        beats += 1
        if isBusy || beats.isMultiple(of: 2) { ask() }
        // One that has to go takes itself out.
        for connection in open.map(\.self) { connection.streamBeat() }
    }

    /// There were requests in the second that is over. Without any, how the sidecar is may wait for another second: to find
    /// out is most of what an idle page costs.
    private var isBusy: Bool {
        contents.traffic.samples(after: contents.traffic.sealedThrough - 1, most: 1).contains { $0.outcomes.total > 0 }
    }

    /// The second that is over.
    private func seal() {
        contents.traffic.seal(through: contents.traffic.clock.second(of: .now() - Self.grace) - 1)
    }

    /// How the sidecar is: in its own time, off the loop that answers health checks, and not twice at once.
    private func ask() {
        guard !isAsking else { return }
        isAsking = true
        loop.makeFutureWithTask { [contents] in
            // First: loops that rest tell what they know when they are asked.
            let state = await contents.state()
            return (state, contents.traffic.summary)
        }.assumeIsolated().whenSuccess { state, summary in
            self.isAsking = false
            self.board.take(state, summary)
            for connection in self.open.map(\.self) { connection.tellNews() }
        }
    }
}
