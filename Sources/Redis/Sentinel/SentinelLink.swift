// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// Two connections to one sentinel: one to ask by, and one to hear of switches, since who has subscribed can ask nothing else.
///
/// They are made when they are needed; a question that finds none makes one. It lives on its event loop.
final class SentinelLink {
    typealias Answer = (Result<SentinelReport, RedisError>) -> Void

    /// Four answers of a sentinel with many others.
    private static let longestReply = 64 * 1024
    private static let longestQueue = 16

    /// By which connections to come are made.
    var endpoint: RedisEndpoint
    private let name: String
    private let eventLoop: any EventLoop
    /// Of which an answer counts; what comes to an earlier one is too late.
    private var attempt = 0
    private var asking: RedisChannelHandler?
    private var listening: RedisChannelHandler?
    private var isGettingReadyToListen = false
    private var isClosed = false

    /// - Parameters:
    ///   - endpoint: of the sentinel.
    ///   - name: of the primary.
    init(_ endpoint: RedisEndpoint, about name: String, on eventLoop: any EventLoop) {
        self.endpoint = endpoint
        self.name = name
        self.eventLoop = eventLoop
    }

    /// `answer` is called once, unless this is given up before.
    func ask(_ answer: @escaping Answer) {
        attempt += 1
        let attempt = attempt
        func told(_ result: Result<SentinelReport, RedisError>) {
            if attempt == self.attempt { answer(result.mapError(explained)) }
        }
        if let asking { return question(asking, told) }
        open { result in
            switch result {
            case .success(let handler) where attempt == self.attempt && !self.isClosed:
                self.asking = handler
                handler.whenClosed { _ in if self.asking === handler { self.asking = nil } }
                self.question(handler, told)
            case .success(let handler): handler.close(.shutdown)
            case .failure(let error): told(.failure(error))
            }
        }
    }

    private func question(_ handler: RedisChannelHandler, _ told: @escaping Answer) {
        let questions = SentinelReport.questions(about: name)
        let replies = Replies(count: questions.count) { replies in
            told(Result { () throws(RedisError) in try SentinelReport(replies, about: self.name) })
        }
        for (place, question) in questions.enumerated() {
            handler.send(question, deadline: .distantFuture) { replies.take($0, at: place) }
        }
    }

    /// Nothing was heard in time.
    func giveUp() {
        attempt += 1
        asking?.close(.timeout)
        asking = nil
    }

    /// Has `switched` told of each switch of the primary, until the connection is lost. A second time it changes nothing.
    func listen(_ switched: @escaping () -> Void) {
        guard listening == nil, !isGettingReadyToListen, !isClosed else { return }
        isGettingReadyToListen = true
        open { result in
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
        giveUp()
        listening?.close(.shutdown)
        listening?.onMessage = nil
    }

    private func open(_ then: @escaping (Result<RedisChannelHandler, RedisError>) -> Void) {
        let timeout = Topology.Timing().answer
        endpoint.connect(
            on: eventLoop, timeout: timeout, longestReply: Self.longestReply, longestQueue: Self.longestQueue
        ).assumeIsolated().whenComplete { result in
            switch result {
            case .failure(let error): then(.failure(RedisError(connecting: error)))
            case .success(let bound):
                let handler = bound.value
                // A sentinel that accepts and says nothing keeps no connection for ever.
                let end = self.eventLoop.assumeIsolated().scheduleTask(in: timeout) { handler.close(.timeout) }
                handler.greet(self.endpoint, isCautious: true, before: .distantFuture) { greeted in
                    end.cancel()
                    switch greeted {
                    case .success: then(.success(handler))
                    case .failure(let error):
                        handler.close(error)
                        then(.failure(error))
                    }
                }
            }
        }
    }

    /// The sentinels' password is another one than the servers', which is easily forgotten.
    private func explained(_ error: RedisError) -> RedisError {
        guard error.fault == .credentials else { return error }
        let question = endpoint.password == nil ? "it asks for a password" : "it refuses user or password"
        return .unfit(.noPrimary("\(question): redis.sentinel.password_file"))
    }
}
