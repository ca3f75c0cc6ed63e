// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Octets

extension RedisChannelHandler {
    /// Makes a new connection fit for commands: says who we are, looks who answers, selects the database and loads scripts.
    ///
    /// 1. `HELLO 2 AUTH user password`, which any Redis answers by its version, mode and role: also a Sentinel, a replica, and
    ///    one that loads its data.
    /// 2. Where there is no HELLO, or not for us: AUTH, and INFO if that is allowed.
    /// 3. SELECT and every SCRIPT LOAD.
    ///
    /// - Parameters:
    ///   - isCautious: nothing follows the first command before its answer. Else all goes out in one write, which saves a round
    ///     trip. But a server without room says so and closes at once; what it then has not read resets the connection, which
    ///     may take its word away.
    ///   - done: called once.
    func greet(
        _ endpoint: RedisEndpoint, loading scripts: [RedisScript] = [], isCautious: Bool, before deadline: NIODeadline,
        _ done: @escaping (Result<Void, RedisError>) -> Void
    ) {
        switch endpoint.address {
        case .tcp, .sentinels, .cluster: expectsFirstReply = true
        case .unix: break
        }
        Greeting(by: self, endpoint, scripts, deadline, done).begin(isCautious: isCautious)
    }
}

/// The first commands of one connection, on their way. Whoever waits for a reply keeps it.
private final class Greeting {
    private let handler: RedisChannelHandler
    private let endpoint: RedisEndpoint
    private let scripts: [RedisScript]
    private let deadline: NIODeadline
    private let done: (Result<Void, RedisError>) -> Void
    /// Begins anew where there is no HELLO: what went out with it was refused as well.
    private var round = 0
    private var outstanding = 0
    private var isDone = false

    init(
        by handler: RedisChannelHandler, _ endpoint: RedisEndpoint, _ scripts: [RedisScript], _ deadline: NIODeadline,
        _ done: @escaping (Result<Void, RedisError>) -> Void
    ) {
        self.handler = handler
        self.endpoint = endpoint
        self.scripts = scripts
        self.deadline = deadline
        self.done = done
    }

    func begin(isCautious: Bool) {
        ask(endpoint.hello) { result in
            switch result {
            case .success(let reply):
                self.judge(ServerIdentity(hello: reply))
                if isCautious { self.prepare() }
            case .failure(let error) where error.meansNoHello: self.beginWithoutHello()
            case .failure(let error): self.end(.failure(self.endpoint.withoutPassword(error)))
            }
        }
        if !isCautious { prepare() }
    }

    private func beginWithoutHello() {
        round += 1
        // The answer that is being heard.
        outstanding = 1
        if let authentication = endpoint.authentication { require(authentication) }
        ask(RedisCommand("INFO")) { result in
            if case .success(let reply) = result, let text = reply.text {
                self.judge(ServerIdentity(info: InfoFields(text)))
            }
        }
        prepare()
    }

    private func judge(_ identity: ServerIdentity) {
        guard let misfit = identity.misfit(for: endpoint.kind) else { return }
        end(.failure(.unfit(misfit)))
    }

    private func prepare() {
        guard !isDone else { return }
        if endpoint.database != 0 {
            var select = RedisCommand("SELECT")
            select.append(Int64(endpoint.database))
            require(select)
        }
        for script in scripts {
            outstanding += 1
            let round = round
            handler.load(script, deadline: deadline) { result in
                self.hear(in: round) { self.end(ifFailed: result) }
            }
        }
    }

    private func require(_ command: RedisCommand) {
        ask(command) { self.end(ifFailed: $0) }
    }

    private func ask(_ command: RedisCommand, _ then: @escaping (Result<RedisReply, RedisError>) -> Void) {
        outstanding += 1
        let round = round
        handler.send(command, deadline: deadline) { result in self.hear(in: round) { then(result) } }
    }

    private func hear(in round: Int, _ note: () -> Void) {
        guard !isDone, round == self.round else { return }
        note()
        outstanding -= 1
        if outstanding == 0 { end(.success(())) }
    }

    private func end(ifFailed result: Result<some Any, RedisError>) {
        if case .failure(let error) = result { end(.failure(endpoint.withoutPassword(error))) }
    }

    private func end(_ result: Result<Void, RedisError>) {
        guard !isDone else { return }
        isDone = true
        done(result.mapError(handler.explained))
    }
}

extension RedisError {
    /// An answer to HELLO after which AUTH is tried. A server that is full, or refuses the password, won't take that either.
    fileprivate var meansNoHello: Bool {
        fault == .permissions || (fault == .other && serverCode == "ERR")
    }
}
