// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Endpoints
import Logging
import NIOCore
import NIOEmbedded
import Octets
import Testing
@testable import Keyspace
@testable import Limits

@testable import Admission
@testable import Redis

/// Stands for Redis: keeps what was sent until the test answers it.
final class StubLink: RedisLink {
    struct Question {
        let command: RedisCommand
        /// Script and arguments, as texts: `lookup tg:1:cred:…`.
        let text: String
        let deadline: NIODeadline
        let late: RedisConnection.Late?
        fileprivate let completion: RedisConnection.Completion
    }

    var isReady = true
    var isRefused = false
    var lastFailure: RedisError?
    /// Of all that is asked, at once.
    var failure: RedisError?
    private(set) var failed: [String] = []
    /// What had no answer yet, oldest first.
    private(set) var questions: [Question] = []
    var commandsInFlight: Int { questions.count }
    private(set) var isClosed = false
    /// Why it was to be made anew.
    private(set) var renewals: [RedisError] = []
    /// How often it was told that the next tick comes late.
    private(set) var rests = 0
    private let eventLoop: any EventLoop

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// The scripts that wait for an answer, by name.
    var scripts: [String] { questions.map { String($0.text.prefix { $0 != " " }) } }

    func start() {}

    func authenticate(as _: RedisEndpoint) {}

    func renew(because error: RedisError) {
        renewals.append(error)
    }

    func send(
        _ command: RedisCommand, deadline: NIODeadline, late: RedisConnection.Late?,
        _ completion: @escaping RedisConnection.Completion
    ) {
        if let failure {
            failed.append(command.text)
            return completion(.failure(failure))
        }
        questions.append(
            Question(
                command: command, text: command.text, deadline: deadline, late: late, completion: completion))
    }

    func expire(now: NIODeadline, having _: TimeAmount = .zero) {
        let due = questions.filter { $0.deadline <= now }
        questions.removeAll { $0.deadline <= now }
        for question in due { question.completion(.failure(.timeout)) }
    }

    var isAtRest: Bool { isReady && questions.isEmpty }

    func rest() {
        rests += 1
    }

    func close() -> EventLoopFuture<Void> {
        isClosed = true
        let left = questions
        questions = []
        for question in left { question.completion(.failure(.shutdown)) }
        return eventLoop.makeSucceededVoidFuture()
    }

    /// Answers the oldest question.
    ///
    /// - Returns: its text.
    @discardableResult
    func answer(_ result: Result<RedisReply, RedisError>) -> String {
        precondition(!questions.isEmpty, "Cannot answer before something is asked")
        let question = questions.removeFirst()
        question.completion(result)
        return question.text
    }

    /// Answers the oldest question as a script does at this µs of Redis' clock.
    @discardableResult
    func answer(at time: Int64 = 1_000_000, _ elements: RedisReply...) -> String {
        answer(at: time, elements)
    }

    @discardableResult
    func answer(at time: Int64 = 1_000_000, _ elements: [RedisReply]) -> String {
        answer(.success(.array([.integer(time)] + elements)))
    }
}

extension RedisReply {
    /// A bulk string.
    static func text(_ text: String) -> Self { .bytes(Array(text.utf8)) }
}

extension RedisCommand {
    /// Name and arguments, without the number of keys.
    var text: String {
        let lines = String(decoding: arguments, as: UTF8.self)
            .split(separator: "\r\n", omittingEmptySubsequences: false)
        // Each argument is two lines: its length and itself.
        var texts = stride(from: 1, to: lines.count, by: 2).map { String(lines[$0]) }
        if let script { texts[0] = script.name }
        return texts.joined(separator: " ")
    }
}

/// A link on a loop whose clock the test moves, with what it is connected to.
struct Bench {
    let loop = EmbeddedEventLoop()
    let redis: StubLink
    let link: StoreLink
    let store: Store

    init(
        _ policies: [Policy] = [], outages: Outages = Outages(), late: LateDecisions = LateDecisions(),
        instance: Instance = Instance(), seen: SeenKeys = SeenKeys(), logger: Logger = Self.logger,
        wallClock: @escaping () -> Int = { 0 }
    ) {
        let loop = loop
        let redis = StubLink(on: loop)
        self.redis = redis
        link = StoreLink(
            Self.configuration(policies), at: "redis", on: loop,
            Surroundings(
                instance: instance, late: late, outages: outages, seen: seen, wallClock: wallClock, logger: logger)
        ) { _ in redis }
        store = Store(link)
    }

    static var logger: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    static func configuration(_ policies: [Policy]) -> AdmissionConfiguration {
        AdmissionConfiguration(policies: policies, format: CredentialFormat(prefix: "mcp_", accept: []))
    }

    var now: NIODeadline { loop.now }

    /// The database's id is seen.
    func meet(_ id: RedisReply) {
        #expect(link.compareInstance([.integer(0), id]))
    }

    /// Ticks every 10 ms.
    func pass(_ time: TimeAmount, _ tick: (NIODeadline) -> Void = { _ in }) {
        for _ in 0..<(time.nanoseconds / 10_000_000) {
            loop.advanceTime(by: .milliseconds(10))
            link.expire(at: loop.now, having: .zero)
            link.tick(loop.now)
            tick(loop.now)
        }
    }
}

extension CredentialHash {
    init(_ text: String) {
        self.init(of: Array(text.utf8))
    }
}

extension RedisReply {
    /// What the load script answers of an organization.
    static func organization(
        revision: String = "1", status: String = "active", plan: String = "", generation: Int? = nil
    ) -> Self {
        .array([
            .text(revision), .text(status), .null, .text(plan), generation.map { .text("\($0)") } ?? .null,
            .null,
        ])
    }

    /// What it answers of a key.
    static func record(of key: String, active: String = "1") -> Self {
        let hash = RedisReply.bytes(CredentialHash(key).hexadecimal)
        return .array([hash, .text(active), .text("subject"), .null, .null, .null, .null, .null, .null, .null, .null])
    }
}

extension Receipt {
    /// Of a request with a key that took nothing.
    static func stub(_ hash: CredentialHash) -> Receipt? {
        let request = AdmissionRequest(kind: .protected, address: "203.0.113.9", selection: PolicySelection())
        let ask = Ask(request, at: .uptimeNanoseconds(0), within: .zero) { _, _ in }
        ask.hash = hash
        return Receipt(of: ask)
    }
}

extension KeyEntry {
    /// Of `acme/laptop`, without policies.
    static func stub() throws -> KeyEntry {
        let pointer = try #require(RecordPointer(.text("acme laptop")))
        let record = try #require(RedisReply.record(of: "laptop").array.flatMap(KeyRecord.init))
        let loaded = try #require(RedisReply.organization().array.flatMap(OrganizationRecord.init))
        let organization = Organization(
            key: Array("tg:1:{acme}".utf8), record: loaded, generation: 0, buckets: BucketSet())
        return KeyEntry(pointer: pointer, record: record, organization: organization, buckets: BucketSet())
    }
}
