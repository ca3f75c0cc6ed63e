// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOConcurrencyHelpers
import Octets
import Testing

@testable import Telemetry

@Suite struct StderrLogTests {
    @Test func writesTimeLevelMessageAndSortedMetadata() throws {
        let output = try captured { logger in
            logger.info("connected", metadata: ["redis.db": "0", "redis.address": "127.0.0.1:6379"])
            logger.warning("no metadata")
            logger.error("lost", metadata: ["error": "no such file", "empty": "", "pair": "a=b"])
        }
        #expect(
            output == """
                2026-11-23T03:41:07.123Z info connected redis.address=127.0.0.1:6379 redis.db=0
                2026-11-23T03:41:07.123Z warning no metadata
                2026-11-23T03:41:07.123Z error lost empty="" error="no such file" pair="a=b"

                """)
    }

    /// Data from outside can't forge a line.
    @Test func keepsOneLineAnEvent() throws {
        let output = try captured { logger in
            logger.info("first\nsecond", metadata: ["a\nb": "c\r\nd \"e\"", "list": ["x", "y\n"]])
        }
        #expect(
            output
                == #"2026-11-23T03:41:07.123Z info "first\nsecond" "a\nb"="c\r\nd \"e\"" list="[\"x\", \"y\\n\"]""#
                + "\n")
        #expect(output.filter { $0 == "\n" }.count == 1)
    }

    /// Nor move a terminal's cursor, turn its text round, or look like two lines to whoever reads lines.
    @Test func showsNothingUnseen() throws {
        let output = try captured { logger in
            logger.info("a\u{9B}b", metadata: ["x": "c\u{2028}d\u{202E}e\u{85}f", "y": "grün"])
        }
        #expect(output == "2026-11-23T03:41:07.123Z info a?b x=c?d?e?f y=grün\n")
    }

    @Test func leavesOutWhatIsBelowItsLevel() throws {
        let output = try captured { logger in
            logger.debug("not this")
            var verbose = logger
            verbose.logLevel = .debug
            verbose.debug("this")
            logger.notice("and this")
        }
        #expect(output == "2026-11-23T03:41:07.123Z debug this\n2026-11-23T03:41:07.123Z notice and this\n")
    }

    /// What is said for the one event beats the provider's, and that the logger's.
    @Test func mergesMetadata() throws {
        let provider = Logger.MetadataProvider { ["b": "provider", "c": "provider"] }
        let output = try captured(LogControl(), provider) { logger in
            var logger = logger
            logger[metadataKey: "a"] = "logger"
            logger[metadataKey: "b"] = "logger"
            #expect(logger[metadataKey: "a"] == "logger")
            logger.info("x", metadata: ["c": "event"])
            logger.info("y")
        }
        #expect(
            output == """
                2026-11-23T03:41:07.123Z info x a=logger b=provider c=event
                2026-11-23T03:41:07.123Z info y a=logger b=provider c=provider

                """)
    }

    @Test func survivesAReaderThatLeft() throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        close(ends[0])
        // The daemon ignores the signal; so does whoever opens an access log.
        signal(SIGPIPE, SIG_IGN)
        let handler = StderrLogHandler(LogControl(), descriptor: ends[1])
        Logger(label: "test") { _ in handler }.error("nobody hears this")
        close(ends[1])
    }

    // MARK: JSON

    @Test func writesAnObjectALine() throws {
        let output = try captured(LogControl(format: .json)) { logger in
            logger.info("connected", metadata: ["redis.db": "0", "redis.address": "127.0.0.1:6379"])
            logger.warning("no metadata")
        }
        #expect(
            output == """
                {"time":"2026-11-23T03:41:07.123Z","level":"info","message":"connected",\
                "redis.address":"127.0.0.1:6379","redis.db":"0"}
                {"time":"2026-11-23T03:41:07.123Z","level":"warning","message":"no metadata"}

                """)
    }

    /// Data from outside can forge neither a line nor a member.
    @Test func keepsToItsMembersInJSON() throws {
        let output = try captured(LogControl(format: .json)) { logger in
            logger.error(
                "a\nb",
                metadata: [
                    "error": "x\",\"level\":\"info\r\n{\u{7F}\u{0}\\", "level": "mine", "list": ["x", "y"],
                ])
        }
        #expect(
            output
                == #"{"time":"2026-11-23T03:41:07.123Z","level":"error","message":"a\nb","#
                + #""error":"x\",\"level\":\"info\r\n{\u007f\u0000\\","metadata.level":"mine","list":"[\"x\", \"y\"]"}"#
                + "\n")
        let read = try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: String])
        #expect(read["level"] == "error")
        #expect(read["error"] == "x\",\"level\":\"info\r\n{\u{7F}\u{0}\\")
        #expect(read.keys.sorted() == ["error", "level", "list", "message", "metadata.level", "time"])
    }

    // MARK: Change

    /// Loggers that were made before, and copies of them, go by it too.
    @Test func changesWhileItWrites() throws {
        let control = LogControl(level: .warning)
        let output = try captured(control) { logger in
            let copy = logger
            copy.info("not this")
            control.apply(level: .debug, format: .json)
            copy.debug("this")
            control.apply(level: .error, format: .text)
            logger.warning("nor this")
            copy.error("and this")
        }
        #expect(
            output == """
                {"time":"2026-11-23T03:41:07.123Z","level":"debug","message":"this"}
                2026-11-23T03:41:07.123Z error and this

                """)
    }

    @Test(arguments: Logger.Level.allCases)
    func keepsEachLevel(_ level: Logger.Level) {
        let control = LogControl(level: level, format: .json)
        #expect(control.level == level)
        #expect(control.format == .json)
        let handler = StderrLogHandler(control)
        #expect(handler.logLevel == level)
        control.apply(level: .critical, format: .text)
        #expect(handler.logLevel == .critical)
        #expect(control.format == .text)
    }

    private func captured(
        _ control: LogControl = LogControl(), _ provider: Logger.MetadataProvider? = nil, _ body: (Logger) -> Void
    ) throws -> String {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        let handler = StderrLogHandler(control, metadataProvider: provider, descriptor: ends[1]) {
            WallTime(seconds: 1_795_405_267, microseconds: 123_000)
        }
        body(Logger(label: "test") { _ in handler })
        close(ends[1])
        defer { close(ends[0]) }
        var octets = [UInt8](repeating: 0, count: 4096)
        let count = read(ends[0], &octets, octets.count)
        return String(decoding: octets[..<count], as: UTF8.self)
    }
}
