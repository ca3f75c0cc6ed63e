// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import Admission
@testable import Redis

/// Runs the scripts as they ship, thousands of steps in one call, but for two things: the clock is the test's, and nothing
/// expires by the server's.
///
/// Keys are cleared at the end of each batch, which is a world of its own.
struct AnyClock {
    /// One call of a script at an instant.
    struct Step {
        enum Script: Int { case admit = 1, correct, renew, release }

        var script: Script
        var keys: [[UInt8]]
        var arguments: [[UInt8]]
        var now: Int

        init(_ script: Script, keys: [[UInt8]], arguments: [[UInt8]], at now: Int) {
            self.script = script
            self.keys = keys
            self.arguments = arguments
            self.now = now
        }

        /// The keys and arguments of a call that was put together for Redis.
        init(_ script: Script, _ call: RedisCommand, at now: Int) throws {
            var words = try call.words()
            let count = try #require(Int(String(decoding: words.removeFirst(), as: UTF8.self)))
            self.init(script, keys: Array(words.prefix(count)), arguments: Array(words.dropFirst(count)), at: now)
        }
    }

    private let client: RedisClient
    private let script: RedisScript

    init(_ client: RedisClient) throws {
        self.client = client
        let functions = try [admitScriptSource, correctScriptSource, renewScriptSource, releaseScriptSource].map(
            Self.body)
        script = RedisScript(
            name: "any clock",
            source: """
                #!lua
                local scripts = {}
                \(functions.enumerated().map { "scripts[\($0 + 1)] = function(KEYS, ARGV, time)\n\($1)\nend" }
                    .joined(separator: "\n"))
                local answers, touched, at = {}, {}, 1
                while at <= #ARGV do
                  local which, seconds, micros, nk, na = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2],
                    tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
                  local keys, arguments = {}, {}
                  for i = 1, nk do
                    keys[i] = ARGV[at + 4 + i]
                    touched[keys[i]] = true
                  end
                  for i = 1, na do arguments[i] = ARGV[at + 4 + nk + i] end
                  at = at + 5 + nk + na
                  local numbers = {}
                  for i, number in ipairs(scripts[which](keys, arguments, {seconds, micros})) do
                    numbers[i] = string.format('%.0f', number)
                  end
                  answers[#answers + 1] = table.concat(numbers, ' ')
                end
                for key in pairs(touched) do redis.call('DEL', key) end
                return answers
                """)
    }

    /// - Returns: the numbers that each step answered.
    func run(_ steps: [Step]) async throws -> [[Int]] {
        var answers: [[Int]] = []

        for start in stride(from: 0, to: steps.count, by: steps.count) {
            var command = RedisCommand(script, keyCount: 0)
            for step in steps[start...] {
                for number in [
                    step.script.rawValue, step.now / 1_000_000, step.now % 1_000_000, step.keys.count,
                    step.arguments.count,
                ] { command.append(Int64(number)) }
                for word in step.keys + step.arguments { command.append(bytes: word) }
            }
            let reply = try await client.send(command)
            answers += try #require(reply.array).map { answer in
                (answer.text ?? "").split(separator: " ").map { Int($0) ?? -1 }
            }
        }
        return answers
    }

    /// A script's body as a function of its clock, that leaves no expiry behind. Each replacement has to be there, or the
    /// test would be of another script.
    private static func body(of source: String) throws -> String {
        var lines = source.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        try #require(lines.removeFirst().hasPrefix("#!lua"))
        try #require(lines.count { $0 == "local time = redis.call('TIME')" } == 1)
        lines.removeAll { $0 == "local time = redis.call('TIME')" }
        return lines.map { line in
            var line = line
            for expiry in [", 'PX', string.format('%.0f', math.ceil(wait / 1000))", ", 'KEEPTTL'"] {
                line = line.replacing(expiry, with: "")
            }
            line = line.replacing(", 'PXAT', string.format('%.0f', ends / 1000 + 3600000)", with: "")
            return line.contains("'PEXPIRE'") ? "" : line
        }.joined(separator: "\n")
    }
}

extension RedisCommand {
    /// The words behind EVALSHA and the digest.
    fileprivate func words() throws -> [[UInt8]] {
        var buffer = arguments
        var words: [[UInt8]] = []
        while buffer.readableBytes > 0 {
            let line = try #require(buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\r")))
            let head = buffer.readString(length: line - buffer.readerIndex) ?? ""
            let length = try #require(Int(head.dropFirst()))
            buffer.moveReaderIndex(forwardBy: 2)
            let word = buffer.readBytes(length: length)
            words.append(try #require(word))
            buffer.moveReaderIndex(forwardBy: 2)
        }
        return words
    }
}
