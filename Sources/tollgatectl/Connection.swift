// SPDX-License-Identifier: Apache-2.0

import Admission
import ArgumentParser
import Foundation
import Redis

/// Which Redis, and which part of it.
struct Connection: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where keys and limits are. Others see the command line: give a password by TOLLGATE_REDIS_URL.",
            valueName: "url"))
    var redis: String?
    @Option(help: ArgumentHelp("First part of every Redis key.", valueName: "name"))
    var namespace = "tg"

    /// Does something with the directory, and turns what stands in the way into a message and an exit code.
    func withDirectory<Value>(_ body: (Directory) async throws -> Value) async throws -> Value {
        let endpoint = try endpoint
        do {
            let client = try await RedisClient.connect(to: endpoint)
            defer { client.close() }
            return try await body(Directory(client, namespace: namespace))
        } catch let error as RedisError {
            throw Failure(error, at: endpoint).report()
        } catch let error as DirectoryError {
            throw Failure(error, at: endpoint).report()
        }
    }

    private var endpoint: RedisEndpoint {
        get throws {
            let variable = ProcessInfo.processInfo.environment["TOLLGATE_REDIS_URL"].flatMap { $0.isEmpty ? nil : $0 }
            do {
                return try RedisEndpoint(parsing: redis ?? variable ?? "redis://127.0.0.1:6379/0")
            } catch {
                throw ValidationError("\(redis == nil ? "TOLLGATE_REDIS_URL" : "--redis"): \(error)")
            }
        }
    }
}
