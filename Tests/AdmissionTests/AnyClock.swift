// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
@testable import Admission
@testable import Keyspace

@testable import Redis

/// Runs the scripts as they ship, thousands of steps in one call, but for what they call Redis by: the clock is the test's, and
/// keys expire by it, or not at all.
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

    /// - Parameter expires: whether rates and quotas expire; sets of slots, which go by their scores, never do here.
    init(_ client: RedisClient, expires: Bool = false) throws {
        self.client = client
        let functions = try [admitScriptSource, correctScriptSource, renewScriptSource, releaseScriptSource].map(
            Self.body)
        script = RedisScript(
            name: "any clock",
            source: """
                #!lua
                local scripts, expires = {}, \(expires)
                \(Self.server)
                \(functions.enumerated().map { "scripts[\($0 + 1)] = function(KEYS, ARGV, redis)\n\($1)\nend" }
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
                  clock = {seconds, micros}
                  for i, number in ipairs(scripts[which](keys, arguments, server)) do
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

    /// What a script calls instead of Redis: `clock` is TIME, and `ends` has the last millisecond of keys.
    private static let server = """
        local clock, ends = nil, {}
        local function forget(key)
          local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
          if ends[key] and now > ends[key] then
            ends[key] = nil
            redis.call('DEL', key)
          end
          return now
        end
        local server = {call = function(name, ...)
          local words = {...}
          if name == 'TIME' then return clock end
          if name == 'PEXPIRE' then return 1 end
          for i = 1, name == 'MGET' and #words or 1 do forget(words[i]) end
          if name == 'PEXPIRETIME' then return ends[words[1]] or -1 end
          if name == 'SET' then
            if expires and words[3] == 'PX' then ends[words[1]] = forget(words[1]) + words[4] end
            if expires and words[3] == 'PXAT' then ends[words[1]] = tonumber(words[4]) end
            return redis.call('SET', words[1], words[2])
          end
          if name == 'DEL' then ends[words[1]] = nil end
          return redis.call(name, ...)
        end}
        """

    private static func body(of source: String) throws -> String {
        let (first, rest) = try #require(source.firstIndex(of: "\n").map { (source[..<$0], source[$0...]) })
        try #require(first.hasPrefix("#!lua"))
        return String(rest)
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
