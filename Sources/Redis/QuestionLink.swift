// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// A connection to ask by, of which one is made by a question that finds none. It lives on its event loop.
final class QuestionLink {
    typealias Answers = Result<[Replies.Reply], RedisError>

    private static let longestQueue = 16

    /// By which connections to come are made.
    var endpoint: RedisEndpoint
    private let eventLoop: any EventLoop
    private let patience: TimeAmount
    private let longestReply: Int
    /// Of which an answer counts; what comes to an earlier one is too late.
    private var attempt = 0
    private var connection: RedisChannelHandler?
    private var isClosed = false

    /// - Parameters:
    ///   - patience: for a connection, and once more for its greeting.
    ///   - longestReply: bytes of one reply.
    init(_ endpoint: RedisEndpoint, patience: TimeAmount, longestReply: Int, on eventLoop: any EventLoop) {
        self.endpoint = endpoint
        self.patience = patience
        self.longestReply = longestReply
        self.eventLoop = eventLoop
    }

    /// Asks all in one write. `answer` is called once, unless this is given up before: with each one's reply, or with why
    /// there is no connection.
    func ask(_ questions: [RedisCommand], _ answer: @escaping (Answers) -> Void) {
        attempt += 1
        let attempt = attempt
        func told(_ answers: Answers) {
            if attempt == self.attempt { answer(answers) }
        }
        if let connection { return question(connection, questions, told) }
        open { result in
            switch result {
            case .success(let handler) where attempt == self.attempt && !self.isClosed:
                self.connection = handler
                handler.whenClosed { _ in if self.connection === handler { self.connection = nil } }
                self.question(handler, questions, told)
            case .success(let handler): handler.close(.shutdown)
            case .failure(let error): told(.failure(error))
            }
        }
    }

    private func question(
        _ handler: RedisChannelHandler, _ questions: [RedisCommand], _ told: @escaping (Answers) -> Void
    ) {
        let replies = Replies(count: questions.count) { told(.success($0)) }
        for (place, question) in questions.enumerated() {
            handler.send(question, deadline: .distantFuture) { replies.take($0, at: place) }
        }
    }

    /// Nothing was heard in time.
    func giveUp() {
        attempt += 1
        connection?.close(.timeout)
        connection = nil
    }

    func close() {
        isClosed = true
        giveUp()
    }

    /// A connection of whoever asks, greeted.
    func open(_ then: @escaping (Result<RedisChannelHandler, RedisError>) -> Void) {
        endpoint.connect(
            on: eventLoop, timeout: patience, longestReply: longestReply, longestQueue: Self.longestQueue
        ).assumeIsolated().whenComplete { result in
            switch result {
            case .failure(let error): then(.failure(RedisError(connecting: error)))
            case .success(let bound):
                let handler = bound.value
                // Who accepts and says nothing keeps no connection for ever.
                let end = self.eventLoop.assumeIsolated().scheduleTask(in: self.patience) { handler.close(.timeout) }
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
}
