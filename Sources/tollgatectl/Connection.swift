// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Foundation
import Redis
import Settings

/// Which Redis, and which part of it.
struct Connection: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where keys and limits are. Others see the command line: give a password by TOLLGATE_REDIS_URL.",
            valueName: "url"))
    var redis: String?
    @Option(
        help: ArgumentHelp("First part of every Redis key; tg where nothing else is said.", valueName: "name"),
        transform: namespaceName)
    var namespace: String?
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who changes something, for the audit trail; TOLLGATE_USER, or your name on this machine, where nothing is said.",
            valueName: "who"),
        transform: label)
    var actor: String?

    /// The directory, where changes are signed.
    func directory(_ client: RedisClient, _ namespace: String) -> Directory {
        Directory(client, namespace: namespace, actor: signature)
    }

    private var signature: String {
        let environment = ProcessInfo.processInfo.environment
        let user = environment.variable("SUDO_USER") ?? environment.variable("USER") ?? "unknown"
        let name = actor ?? environment.variable("TOLLGATE_USER") ?? "\(user)@\(ProcessInfo.processInfo.hostName)"
        // It stands in every entry of the audit trail; --as can't be longer.
        return String(String.UnicodeScalarView(name.unicodeScalars.prefix(100)))
    }

    /// Does something with the directory, see ``withRedis(configured:_:)``.
    func withDirectory<Value>(_ body: (Directory) async throws -> Value) async throws -> Value {
        try await withRedis { client, namespace in try await body(directory(client, namespace)) }
    }

    /// Does something with Redis, and turns what stands in the way into a message and an exit code.
    ///
    /// - Parameter configured: the namespace of a configuration, where there is one.
    func withRedis<Value>(
        configured: String? = nil, _ body: (_ client: RedisClient, _ namespace: String) async throws -> Value
    ) async throws -> Value {
        let endpoint = try endpoint
        do {
            let client = try await RedisClient.connect(to: endpoint)
            defer { client.close() }
            return try await body(client, namespace ?? configured ?? "tg")
        } catch let error as Failure {
            throw error.report()
        } catch let error as RedisError {
            throw Failure(error, at: endpoint).report()
        } catch let error as DirectoryError {
            throw Failure(error, at: endpoint).report()
        } catch is Listing.Unread {
            throw ExitCode.success
        } catch let error as Output.Lost {
            throw Failure(.outputLost, "it was done, but nobody could be told (\(error))").report()
        }
    }

    private var endpoint: RedisEndpoint {
        get throws {
            let variable = ProcessInfo.processInfo.environment.variable("TOLLGATE_REDIS_URL")
            do {
                return try RedisEndpoint(parsing: redis ?? variable ?? "redis://127.0.0.1:6379/0")
            } catch {
                throw ValidationError("\(redis == nil ? "TOLLGATE_REDIS_URL" : "--redis"): \(error)")
            }
        }
    }
}

private func namespaceName(_ text: String) throws -> String {
    guard Settings.isNamespace(text) else { throw ValidationError("expected 1 to 32 of A-Z a-z 0-9 . _ -") }
    return text
}
