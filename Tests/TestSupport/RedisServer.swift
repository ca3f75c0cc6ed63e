// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess

/// A real redis-server for one test: in its own directory, on a Unix socket and, if asked, on a TCP port of the kernel's choice.
///
/// ```swift
/// try await RedisServer.run { server in
///     let redis = try await RedisClient.connect(to: RedisEndpoint(.unix(path: server.socketPath)))
/// }
/// ```
/// It is gone when the body has ended, however that was. A small shell holds the other end of a pipe and ends the server
/// should the test process itself be killed.
package actor RedisServer {
    package struct Options: Sendable {
        /// Listens on 127.0.0.1 as well.
        package var tcp = false
        /// Every write is on disk before it is answered, so that `kill()` loses nothing.
        package var persists = false
        /// The default user's password.
        package var password: String?
        /// ACL users: `"app on >secret ~tg:* +@all"`.
        package var users: [String] = []
        /// A cluster of one node, to which no hash slot is assigned yet.
        package var isCluster = false
        /// Further lines of redis.conf.
        package var configuration: [String] = []

        package init(
            tcp: Bool = false, persists: Bool = false, password: String? = nil, users: [String] = [],
            isCluster: Bool = false, configuration: [String] = []
        ) {
            self.isCluster = isCluster
            self.tcp = tcp
            self.persists = persists
            self.password = password
            self.users = users
            self.configuration = configuration
        }
    }

    /// The server didn't start, or ended while it was needed.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private struct Incarnation {
        let process: pid_t
        /// Ends when the process has.
        let life: Task<Void, any Error>
    }

    package nonisolated let directory: String
    /// Nil unless asked for. It stays the same over restarts.
    package nonisolated let tcpPort: Int?
    /// Where the nodes of a cluster speak to each other; nil outside one.
    package nonisolated let busPort: Int?
    private nonisolated let password: String?
    private var incarnation: Incarnation?

    package nonisolated var socketPath: String { "\(directory)/redis.sock" }

    /// `unix:/path`, for those who are configured by URL; without user and password.
    package nonisolated var url: String { "unix:\(socketPath)" }

    /// `redis://127.0.0.1:port/0`; nil unless TCP was asked for.
    package nonisolated var tcpURL: String? { tcpPort.map { "redis://127.0.0.1:\($0)/0" } }

    /// Starts a server, waits until it accepts connections, and ends it after `body`.
    package static func run<Value>(
        _ options: Options = Options(), isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisServer) async throws -> Value
    ) async throws -> Value {
        let server = try await launch(options)
        do {
            let value = try await body(server)
            await server.end()
            return value
        } catch {
            await server.end()
            throw error
        }
    }

    /// A port that was free may be taken a moment later, hence more than one attempt.
    private static func launch(_ options: Options) async throws -> RedisServer {
        for _ in 1..<5 {
            let server = try RedisServer(options)
            do {
                try await server.begin()
                return server
            } catch let failure as Failure {
                await server.end()
                guard failure.description.contains("Address already in use") else { throw failure }
            }
        }
        throw Failure(description: "no TCP port stayed free")
    }

    private init(_ options: Options) throws {
        var template = Array("\(FileManager.default.temporaryDirectory.path)/tollgate-redis-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "no temporary directory: errno \(errno)") }
        directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        tcpPort = options.tcp ? try UnusedPort.passing() : nil
        busPort = options.isCluster ? try UnusedPort.passing() : nil
        password = options.password
        var lines = [
            "port \(tcpPort ?? 0)", "bind 127.0.0.1", "unixsocket \(directory)/redis.sock", "unixsocketperm 700",
            "dir \(directory)", "logfile \"\"", "save \"\"", "appendonly \(options.persists ? "yes" : "no")",
            "appendfsync no", "enable-debug-command yes",
        ]
        if let busPort { lines += ["cluster-enabled yes", "cluster-port \(busPort)"] }
        if let password = options.password { lines.append("requirepass \(password)") }
        lines += options.users.map { "user \($0)" } + options.configuration
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: "\(directory)/redis.conf"))
    }

    // MARK: Life

    /// Starts it again after `stop()` or `kill()`, at the same addresses, and waits until it accepts connections.
    package func start() async throws {
        for _ in 0..<600 {
            do {
                return try await begin()
            } catch let failure as Failure where failure.description.contains("Address already in use") {
                // Whoever was given its port meanwhile has it for a while only.
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await begin()
    }

    private func begin() async throws {
        guard incarnation == nil else { throw Failure(description: "the server runs already") }
        let (started, starting) = AsyncThrowingStream<pid_t, any Error>.makeStream()
        let directory = directory
        let life = Task {
            do {
                try await Self.live(in: directory, starting)
            } catch {
                starting.finish(throwing: error)
                throw error
            }
        }
        for try await process in started {
            incarnation = Incarnation(process: process, life: life)
        }
        guard incarnation != nil else { throw Failure(description: "redis-server never said that it is ready") }
    }

    /// SIGTERM, as an operator's stop: it saves what it is to save. Returns when it has exited.
    package func stop() async throws {
        // A stopped process would only act on it later.
        try signal(SIGCONT)
        try await end(with: SIGTERM)
    }

    /// SIGKILL. Returns when it has exited.
    package func kill() async throws {
        try await end(with: SIGKILL)
    }

    package func restart() async throws {
        try await stop()
        try await start()
    }

    /// SIGSTOP: connections stay open and are even accepted by the kernel, nothing is answered.
    package func freeze() async throws {
        try signal(SIGSTOP)
        while try processState() != "T" { try await Task.sleep(for: .milliseconds(1)) }
    }

    /// SIGCONT: it answers what has piled up.
    package func thaw() throws {
        try signal(SIGCONT)
    }

    /// What `redis-cli` prints, without its last newline; a user's password goes into `password`.
    package nonisolated func cli(_ arguments: String...) async throws -> String {
        try await cli(arguments)
    }

    package nonisolated func cli(_ arguments: [String]) async throws -> String {
        let environment: Environment =
            password.map { .inherit.updating(["REDISCLI_AUTH": $0]) } ?? .inherit
        let result = try await Subprocess.run(
            .name("redis-cli"), arguments: Arguments(["-s", socketPath] + arguments), environment: environment,
            output: .string(limit: 16 * 1024 * 1024), error: .combinedWithOutput)
        return result.standardOutput.hasSuffix("\n")
            ? String(result.standardOutput.dropLast()) : result.standardOutput
    }

    #if os(Linux)
        /// The timers that the kernel keeps for established connections to the server's port, such as
        /// `keepalive,28sec,0`; empty for one without.
        package nonisolated func kernelTimers() async throws -> [String] {
            guard let tcpPort else { throw Failure(description: "the server has no port") }
            let result = try await Subprocess.run(
                .name("ss"), arguments: ["-tnoH", "state", "established", "dport", "=", ":\(tcpPort)"],
                output: .string(limit: 64 * 1024), error: .combinedWithOutput)
            return result.standardOutput.split(separator: "\n").map { row in
                guard let timer = row.firstRange(of: "timer:(") else { return "" }
                return String(row[timer.upperBound..<row.endIndex].prefix { $0 != ")" })
            }
        }
    #endif

    private func signal(_ number: CInt) throws {
        guard let incarnation, Foundation.kill(incarnation.process, number) == 0 else {
            throw Failure(description: "the server isn't running")
        }
    }

    private func end(with number: CInt) async throws {
        try signal(number)
        try await incarnation?.life.value
        incarnation = nil
    }

    private func end() async {
        if let incarnation {
            _ = Foundation.kill(incarnation.process, SIGKILL)
            _ = await incarnation.life.result
        }
        incarnation = nil
        // What can't be removed is litter in the temporary directory and no reason to fail a test.
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func processState() throws -> Substring? {
        guard let incarnation else { throw Failure(description: "the server isn't running") }
        let text = try String(contentsOfFile: "/proc/\(incarnation.process)/stat", encoding: .utf8)
        // The name may hold spaces and parentheses; the state follows the last of them.
        return text.split(separator: ")").last?.split(separator: " ").first
    }

    /// Ends the server when our end of its input is closed, by us or by the death of the test process. Its output closes with
    /// the server, since the shell gives its own copy away.
    private static let guardian = """
        redis-server "$1/redis.conf" </dev/null &
        server=$!
        echo "guardian $server"
        exec >&- 2>&-
        read -r kept || kept=
        kill -9 "$server" 2>/dev/null
        wait
        [ -n "$kept" ] || rm -rf "$1"
        """

    private static func live(
        in directory: String, _ starting: AsyncThrowingStream<pid_t, any Error>.Continuation
    ) async throws {
        _ = try await Subprocess.run(
            .name("sh"), arguments: ["-c", guardian, "sh", directory], input: .inputWriter, output: .sequence,
            error: .combinedWithOutput
        ) { execution in
            var process: pid_t?
            var isReady = false
            var log = ""
            for try await line in execution.standardOutput.strings() {
                if line.hasPrefix("guardian ") {
                    process = pid_t(line.dropFirst("guardian ".count).filter(\.isNumber))
                } else if line.contains("eady to accept connections") {
                    isReady = true
                } else {
                    log += line
                }
                // Two processes write these lines: on a busy machine the server may be ready before its number is told.
                if isReady, let process {
                    starting.yield(process)
                    starting.finish()
                }
            }
            starting.finish(throwing: Failure(description: "redis-server ended: \(log)"))
            _ = try await execution.standardInputWriter.write("kept\n")
        }
    }
}
