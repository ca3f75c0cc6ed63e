// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore

/// A connection to ask by, of which one is made by a question that finds none. It lives on its event loop.
///
/// A connection that is slow to come, from far away or by TLS, is there for a later question where the first one was given up.
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
    /// What is asked as soon as there is a connection.
    private var question: (commands: [RedisCommand], answer: (Answers) -> Void)?
    private var isOpening = false
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
    func ask(_ commands: [RedisCommand], _ answer: @escaping (Answers) -> Void) {
        attempt += 1
        let attempt = attempt
        question = (commands, { answers in if attempt == self.attempt { answer(answers) } })
        guard connection == nil else { return send() }
        guard !isOpening else { return }
        isOpening = true
        open { result in
            self.isOpening = false
            switch result {
            case .success(let handler):
                guard !self.isClosed else { return handler.close(.shutdown) }
                self.connection = handler
                handler.whenClosed { _ in if self.connection === handler { self.connection = nil } }
                self.send()
            case .failure(let error):
                let question = self.question.take()
                question?.answer(.failure(error))
            }
        }
    }

    private func send() {
        guard let connection, let question = question.take() else { return }
        let replies = Replies(count: question.commands.count) { question.answer(.success($0)) }
        for (place, command) in question.commands.enumerated() {
            connection.send(command, deadline: .distantFuture) { replies.take($0, at: place) }
        }
    }

    /// Nothing was heard in time.
    func giveUp() {
        attempt += 1
        question = nil
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
