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

        fileprivate let script: Script
        /// As they go over the wire: how many keys there are, the keys and the arguments.
        fileprivate let words: [UInt8]
        fileprivate let count: Int
        fileprivate let now: Int

        init(_ script: Script, keys: [[UInt8]], arguments: [[UInt8]], at now: Int) {
            var words: [UInt8] = []
            for word in [Array("\(keys.count)".utf8)] + keys + arguments {
                words += Array("$\(word.count)\r\n".utf8) + word + Array("\r\n".utf8)
            }
            self.init(script, words, 1 + keys.count + arguments.count, at: now)
        }

        /// The keys and arguments of a call that was put together for Redis.
        init(_ script: Script, _ call: RedisCommand, at now: Int) {
            // But for EVALSHA and the digest, which are counted and not yet there.
            self.init(script, call.arguments, Int(call.argumentCount) - 2, at: now)
        }

        private init(_ script: Script, _ words: [UInt8], _ count: Int, at now: Int) {
            self.script = script
            self.words = words
            self.count = count
            self.now = now
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
                -- Steps: a line of numbers, and words as they go over the wire.
                local steps, at = ARGV[1], 1
                local function word()
                  local length, start = string.match(steps, '^%$(%d+)\\r\\n()', at)
                  at = start + length + 2
                  return string.sub(steps, start, at - 3)
                end
                local answers, touched = {}, {}
                while at <= #steps do
                  local which, seconds, micros, count, start = string.match(steps, '^(%d+) (%d+) (%d+) (%d+)\\n()', at)
                  at = start
                  local keys, arguments = {}, {}
                  for i = 1, tonumber(word()) do
                    keys[i] = word()
                    touched[keys[i]] = true
                  end
                  for i = 1, count - 1 - #keys do arguments[i] = word() end
                  local numbers = {}
                  clock = {seconds, micros}
                  local answer = scripts[tonumber(which)](keys, arguments, server)
                  if type(answer) == 'string' then
                    answer = {struct.unpack('<' .. string.rep('d', #answer / 8), answer)}
                    -- Where it read no further.
                    answer[#answer] = nil
                  end
                  for i, number in ipairs(answer) do
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
        // One argument: written into the command word by word, they took a debug build a third of all the time.
        var octets: [UInt8] = []
        for step in steps {
            let numbers = [step.script.rawValue, step.now / 1_000_000, step.now % 1_000_000, step.count]
            octets += Array((numbers.map { "\($0)" }.joined(separator: " ") + "\n").utf8)
            octets += step.words
        }
        var command = RedisCommand(script, keyCount: 0)
        command.append(bytes: octets)
        return try #require(try await client.send(command).array).map { answer in
            (answer.text ?? "").split(separator: " ").map { Int($0) ?? -1 }
        }
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
