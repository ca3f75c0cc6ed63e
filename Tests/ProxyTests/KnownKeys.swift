// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Keyspace
import Limits
import Logging
import NIOCore
import Octets

@testable import Admission
@testable import Redis

/// A key that a gate has read before its Redis went away.
struct KnownKey {
    /// As it is presented.
    let text: String
    var organization = "acme"
    var id = "laptop"
    /// Of its record, beyond what each has.
    var fields: [KeyField: String] = [:]

    fileprivate var hash: String { CredentialHash(of: Array(text.utf8)).text }

    fileprivate var record: RedisReply {
        let values = fields.merging([.hash: hash, .isActive: "1", .subject: id]) { $1 }
        return .array(KeyField.admitted.map { values[$0].map { .bytes(Array($0.utf8)) } ?? .null })
    }
}

extension Gate {
    /// A gate that has read these keys, and then lost its Redis: from the start it decides as without it, and so at once.
    static func withoutRedis(
        _ configuration: AdmissionConfiguration, knowing keys: [KnownKey], on eventLoop: any EventLoop, logger: Logger
    ) -> Gate {
        let link = StoreLink(
            configuration, at: "redis", on: eventLoop,
            Surroundings(
                instance: Instance(), late: LateDecisions(), outages: Outages(), seen: SeenKeys(),
                wallClock: { WallTime.now().microsecondsSince1970 }, logger: logger)
        ) { _ in RedisWithKeys(keys, on: eventLoop) }
        let gate = Gate(configuration, on: Store(link), logger: logger)
        for key in keys {
            let request = AdmissionRequest(
                kind: .announced, credential: .presented(Array(key.text.utf8)), address: "192.0.2.1",
                selection: PolicySelection())
            gate.admit(request, at: eventLoop.now) { decision, _ in
                guard case .allow = decision else { preconditionFailure("\(key.text) is no key") }
            }
        }
        gate.close()
        return gate
    }
}

/// Redis for as long as keys are looked up: it has these, and carries out nothing else.
private final class RedisWithKeys: RedisLink {
    let isReady = true
    let lastFailure: RedisError? = nil
    let isRefused = false
    let commandsInFlight = 0
    private let keys: [KnownKey]
    private let eventLoop: any EventLoop

    init(_ keys: [KnownKey], on eventLoop: any EventLoop) {
        self.keys = keys
        self.eventLoop = eventLoop
    }

    func start() {}

    func authenticate(as _: RedisEndpoint) {}

    func renew(because _: RedisError) {}

    func send(
        _ command: RedisCommand, deadline: NIODeadline, late: RedisConnection.Late?,
        _ completion: @escaping RedisConnection.Completion
    ) {
        let text = String(decoding: command.arguments, as: UTF8.self)
        let time = RedisReply.integer(Int64(WallTime.now().microsecondsSince1970))
        switch command.script {
        case RedisScript.instance: completion(.success(.array([time, .bytes(Array("id".utf8))])))
        case RedisScript.lookup:
            let pointer = keys.first { text.contains("cred:\($0.hash)\r\n") }.map { "\($0.organization) \($0.id)" }
            completion(.success(.array([time, pointer.map { .bytes(Array($0.utf8)) } ?? .null])))
        case RedisScript.load:
            let key = keys.first { text.contains("{\($0.organization)}:k:\($0.id)\r\n") }
            let organization: [RedisReply] = OrganizationField.admitted.map {
                switch $0 {
                case .revision: .bytes(Array("1".utf8))
                case .status: .bytes(Array("active".utf8))
                default: .null
                }
            }
            completion(.success(.array([time, .array(organization), key?.record ?? .null])))
        default: completion(.failure(.shutdown))
        }
    }

    func expire(now: NIODeadline, having _: TimeAmount) {}

    var isAtRest: Bool { true }

    func rest() {}

    func close() -> EventLoopFuture<Void> { eventLoop.makeSucceededVoidFuture() }
}
