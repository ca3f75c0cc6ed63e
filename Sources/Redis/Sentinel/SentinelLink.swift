// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// Two connections to one sentinel: one to ask by, and one to hear of switches, since who has subscribed can ask nothing else.
///
/// They are made when they are needed. It lives on its event loop.
final class SentinelLink {
    typealias Answer = (Result<SentinelReport, RedisError>) -> Void

    /// Four answers of a sentinel with many others.
    private static let longestReply = 64 * 1024

    private let name: String
    private let asking: QuestionLink
    private var listening: RedisChannelHandler?
    private var isGettingReadyToListen = false
    private var isClosed = false

    /// - Parameters:
    ///   - endpoint: of the sentinel.
    ///   - name: of the primary.
    init(_ endpoint: RedisEndpoint, about name: String, on eventLoop: any EventLoop) {
        self.name = name
        asking = QuestionLink(
            endpoint, patience: Topology.Timing().answer, longestReply: Self.longestReply, on: eventLoop)
    }

    /// By which connections to come are made.
    var endpoint: RedisEndpoint {
        get { asking.endpoint }
        set { asking.endpoint = newValue }
    }

    /// `answer` is called once, unless this is given up before.
    func ask(_ answer: @escaping Answer) {
        asking.ask(SentinelReport.questions(about: name)) { answers in
            let report = Result { () throws(RedisError) in
                try SentinelReport(try answers.get(), about: self.name)
            }
            answer(report.mapError(self.explained))
        }
    }

    /// Nothing was heard in time.
    func giveUp() {
        asking.giveUp()
    }

    /// Has `switched` told of each switch of the primary, until the connection is lost. A second time it changes nothing.
    func listen(_ switched: @escaping () -> Void) {
        guard listening == nil, !isGettingReadyToListen, !isClosed else { return }
        isGettingReadyToListen = true
        asking.open { result in
            self.isGettingReadyToListen = false
            guard case .success(let handler) = result else { return }
            guard !self.isClosed else { return handler.close(.shutdown) }
            self.listening = handler
            handler.whenClosed { _ in if self.listening === handler { self.listening = nil } }
            handler.onMessage = { message in
                if SentinelMessage.isSwitch(message, of: self.name) { switched() }
            }
            var subscribe = RedisCommand("SUBSCRIBE")
            subscribe.append(SentinelMessage.channel)
            handler.send(subscribe, deadline: .distantFuture) { result in
                // Whoever may not listen is asked each second all the same.
                if case .failure = result { handler.onMessage = nil }
            }
        }
    }

    func close() {
        isClosed = true
        asking.close()
        listening?.close(.shutdown)
        listening?.onMessage = nil
    }

    /// The sentinels' password is another one than the servers', which is easily forgotten.
    private func explained(_ error: RedisError) -> RedisError {
        guard error.fault == .credentials else { return error }
        let question = endpoint.password == nil ? "it asks for a password" : "it refuses user or password"
        return .unfit(.noPrimary("\(question): redis.sentinel.password_file"))
    }
}
