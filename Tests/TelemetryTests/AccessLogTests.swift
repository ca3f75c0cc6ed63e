// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import Octets
import Testing

@testable import Telemetry

@Suite struct AccessLogTests {
    // MARK: Batches

    @Test func handsOverAfter100Milliseconds() async throws {
        let folder = try Folder()
        let log = try AccessLog(.file(folder["access.log"]), logger: .silent)
        let buffer = AccessLogBuffer(log)
        buffer.tick(.uptimeNanoseconds(0))
        buffer.append(line("a"), at: .uptimeNanoseconds(0))
        buffer.append(line("b"), at: .uptimeNanoseconds(0) + .milliseconds(99))
        buffer.tick(.uptimeNanoseconds(0) + .milliseconds(99))
        await log.flush()
        #expect(try folder.read("access.log") == "")
        buffer.tick(.uptimeNanoseconds(0) + .milliseconds(100))
        await log.flush()
        #expect(try folder.ids("access.log") == ["a", "b"])
        // The next line begins a time of its own.
        buffer.append(line("c"), at: .uptimeNanoseconds(0) + .milliseconds(150))
        buffer.tick(.uptimeNanoseconds(0) + .milliseconds(249))
        await log.flush()
        #expect(try folder.ids("access.log") == ["a", "b"])
        buffer.tick(.uptimeNanoseconds(0) + .milliseconds(250))
        await log.flush()
        #expect(try folder.ids("access.log") == ["a", "b", "c"])
    }

    @Test func handsOverAt32KiB() async throws {
        let folder = try Folder()
        let log = try AccessLog(.file(folder["access.log"]), logger: .silent)
        let buffer = AccessLogBuffer(log)
        let length = rendered("00000").utf8.count
        let untilFull = (32 * 1024 + length - 1) / length
        for number in 0..<(untilFull - 1) { buffer.append(line(padded(number)), at: .uptimeNanoseconds(0)) }
        await log.flush()
        #expect(try folder.read("access.log") == "")
        buffer.append(line(padded(untilFull - 1)), at: .uptimeNanoseconds(0))
        await log.flush()
        #expect(try folder.ids("access.log") == (0..<untilFull).map(padded))
        buffer.flush()
        await log.flush()
        #expect(try folder.ids("access.log").count == untilFull)
        #expect(log.droppedLines == 0)
    }

    /// Lines of several loops are never mixed.
    @Test func keepsLinesWhole() async throws {
        let folder = try Folder()
        let log = try AccessLog(.file(folder["access.log"]), logger: .silent)
        await withTaskGroup { group in
            for loop in 0..<4 {
                group.addTask {
                    let buffer = AccessLogBuffer(log)
                    for number in 0..<2_000 {
                        buffer.append(AccessLogLine("\(loop)-\(number)"), at: .now())
                    }
                    buffer.flush()
                }
            }
        }
        await log.close()
        let ids = try folder.ids("access.log")
        for loop in 0..<4 {
            #expect(ids.filter { $0.hasPrefix("\(loop)-") } == (0..<2_000).map { "\(loop)-\($0)" })
        }
        #expect(ids.count == 8_000)
    }

    // MARK: Files

    @Test func appendsToWhatIsThere() async throws {
        let folder = try Folder()
        for id in ["a", "b"] {
            let log = try AccessLog(.file(folder["access.log"]), logger: .silent)
            log.submit(batch(id), lines: 1)
            await log.close()
        }
        #expect(try folder.ids("access.log") == ["a", "b"])
    }

    @Test func createsItsFileForOwnerAndGroup() async throws {
        let folder = try Folder()
        let log = try AccessLog(.file(folder["access.log"]), logger: .silent)
        await log.close()
        let attributes = try FileManager.default.attributesOfItem(atPath: folder["access.log"])
        let mode = try #require(attributes[.posixPermissions] as? Int)
        #expect(mode & ~0o640 == 0)
    }

    @Test func saysWhyAFileCanNotBeOpened() throws {
        let folder = try Folder()
        let path = folder["missing/access.log"]
        #expect(throws: LineSink.Failure(description: "cannot open \(path): No such file or directory")) {
            try AccessLog(.file(path), logger: .silent)
        }
        #expect(throws: LineSink.Failure(description: "cannot open \(folder.path): Is a directory")) {
            try AccessLog(.file(folder.path), logger: .silent)
        }
    }

    @Test func followsRotation() async throws {
        let folder = try Folder()
        let log = try AccessLog(.file(folder["access.log"]), logger: .silent)
        log.submit(batch("a"), lines: 1)
        await log.flush()
        try FileManager.default.moveItem(atPath: folder["access.log"], toPath: folder["access.log.1"])
        log.submit(batch("b"), lines: 1)
        log.reopen()
        log.submit(batch("c"), lines: 1)
        await log.flush()
        #expect(try folder.ids("access.log.1") == ["a", "b"])
        #expect(try folder.ids("access.log") == ["c"])
        #expect(log.droppedLines == 0)
    }

    @Test func keepsTheOldFileWhereReopeningFails() async throws {
        let folder = try Folder()
        let messages = Messages()
        let log = try AccessLog(.file(folder["a/access.log"], in: folder), logger: messages.logger)
        try FileManager.default.moveItem(atPath: folder["a"], toPath: folder["b"])
        log.reopen()
        log.submit(batch("x"), lines: 1)
        await log.flush()
        #expect(try folder.ids("b/access.log") == ["x"])
        #expect(
            messages.all == [
                "error access log not reopened [\"error\": cannot open \(folder["a/access.log"]): No such file or directory]"
            ])
    }

    // MARK: Trouble

    @Test func saysOnceThatTheDiskIsFullAndThatItIsNot() async throws {
        let folder = try Folder()
        try FileManager.default.createSymbolicLink(
            atPath: folder["access.log"], withDestinationPath: "/dev/full")
        let messages = Messages()
        let log = try AccessLog(.file(folder["access.log"]), logger: messages.logger)
        log.submit(batch("a", "b"), lines: 2)
        log.submit(batch("c"), lines: 1)
        await log.flush()
        #expect(log.droppedLines == 3)
        try FileManager.default.removeItem(atPath: folder["access.log"])
        log.reopen()
        log.submit(batch("d"), lines: 1)
        log.submit(batch("e"), lines: 1)
        await log.flush()
        #expect(try folder.ids("access.log") == ["d", "e"])
        #expect(log.droppedLines == 3)
        #expect(
            messages.all == [
                "error access log not written, lines are dropped [\"error\": No space left on device]",
                "notice access log written again [\"lines.dropped\": 3]",
            ])
    }

    /// As on a disk that becomes full within a line.
    @Test func takesBackTheBeginningOfALine() async throws {
        let (folder, messages) = (try Folder(), Messages())
        let descriptor = try folder.open("access.log", withRoomFor: 5 * rendered("a").utf8.count / 2)
        defer { close(descriptor) }
        let log = try AccessLog(.file(folder["access.log"]), logger: messages.logger)
        try await Folder.boundingFiles {
            log.submit(batch("a", "b", "c"), lines: 3)
            log.submit(batch("d"), lines: 1)
            await log.flush()
        }
        #expect(log.droppedLines == 2)
        log.submit(batch("e"), lines: 1)
        await log.close()
        #expect(Folder.rest(of: descriptor) == rendered("a") + rendered("b") + rendered("e"))
        #expect(
            messages.all == [
                "error access log not written, lines are dropped [\"error\": File too large]",
                "notice access log written again [\"lines.dropped\": 2]",
            ])
    }

    /// Others may write to the same file by the same descriptor.
    @Test func endsTheBeginningOfALineOnStandardOutput() async throws {
        let folder = try Folder()
        let descriptor = try folder.open("out", withRoomFor: 5)
        defer { close(descriptor) }
        var sink = LineSink(descriptor: descriptor, closes: false)
        try await Folder.boundingFiles {
            let outcome = sink.write(ByteBuffer(string: "abc\ndef\n"), isEnding: { false })
            #expect(outcome == .lost(lines: 1, error: "File too large"))
        }
        #expect(sink.write(ByteBuffer(string: "ghi\n"), isEnding: { false }) == .written)
        #expect(Folder.rest(of: descriptor) == "abc\nd\nghi\n")
    }

    @Test func survivesAReaderThatLeft() async throws {
        let pipe = try Pipe()
        let messages = Messages()
        let log = AccessLog(.stdout, sink: pipe.sink(), logger: messages.logger)
        log.submit(batch("a"), lines: 1)
        await log.flush()
        #expect(pipe.read() == rendered("a"))
        pipe.closeReader()
        log.submit(batch("b"), lines: 1)
        log.submit(batch("c", "d"), lines: 2)
        await log.flush()
        #expect(log.droppedLines == 3)
        #expect(messages.all == ["error access log not written, lines are dropped [\"error\": Broken pipe]"])
        await log.close()
    }

    /// Nobody reads: 4 MiB wait, the rest is dropped and counted, and no request waits.
    @Test func dropsWhatASlowReaderDoesNotTake() async throws {
        let pipe = try Pipe(isBlocking: false)
        let messages = Messages()
        let log = AccessLog(.stdout, sink: pipe.sink(), logger: messages.logger)
        let chunk = batch(String(repeating: "x", count: 1_000_000))
        for _ in 0..<4 { log.submit(chunk, lines: 1) }
        #expect(log.droppedLines == 0)
        log.submit(chunk, lines: 1)
        log.submit(chunk, lines: 1)
        #expect(log.droppedLines == 2)
        #expect(messages.all == ["error access log can't keep up, lines are dropped"])
        #expect(await log.flush(within: .milliseconds(20)) == false)

        // A reader comes back, and finds whole lines.
        let reading = Task.detached { pipe.read(4 * chunk.readableBytes) }
        let read = await reading.value
        #expect(read == String(repeating: String(buffer: chunk), count: 4))
        #expect(await log.flush(within: .seconds(60)))
        #expect(log.droppedLines == 2)
        #expect(messages.all.last == "notice access log written again [\"lines.dropped\": 2]")
        #expect(messages.all.count == 2)
        await log.close()
    }

    @Test func doesNotWaitForAReaderAtTheEnd() async throws {
        let pipe = try Pipe(isBlocking: false)
        let log = AccessLog(.stdout, sink: pipe.sink(), logger: .silent)
        log.submit(batch(String(repeating: "x", count: 1_000_000)), lines: 1)
        log.submit(batch("a", "b"), lines: 2)
        await log.close(within: .milliseconds(20))
        await log.flush(within: .seconds(60))
        #expect(log.droppedLines == 3)
        log.submit(batch("late"), lines: 1)
        #expect(log.droppedLines == 4)
    }

    /// What breaks off in mid-line is ended before the next one.
    @Test func endsALineThatBrokeOff() throws {
        let pipe = try Pipe(isBlocking: false)
        var sink = pipe.sink()
        let long = batch(String(repeating: "x", count: 1_000_000))
        let outcome = sink.write(long) { true }
        #expect(outcome == .lost(lines: 1, error: "Resource temporarily unavailable"))
        // Still no room: not even for the end of the line.
        #expect(sink.write(batch("a", "b")) { true } == .lost(lines: 2, error: "Resource temporarily unavailable"))
        let part = pipe.read()
        #expect(String(buffer: long).hasPrefix(part))
        #expect(sink.write(batch("c")) { true } == .written)
        #expect(pipe.read() == "\n" + rendered("c"))
        #expect(sink.write(batch("d")) { true } == .written)
        #expect(pipe.read() == rendered("d"))
        sink.close()
    }

    // MARK: Fixtures

    private func line(_ id: String) -> AccessLogLine {
        AccessLogLine(id, at: WallTime(seconds: 0))
    }

    private func batch(_ ids: String...) -> ByteBuffer {
        ByteBuffer(string: ids.map(rendered).joined())
    }

    private func rendered(_ id: String) -> String {
        #"{"time":"1970-01-01T00:00:00.000Z","correlation_id":"\#(id)","bytes_in":0,"bytes_out":0,"ms_total":0.000}"#
            + "\n"
    }

    private func padded(_ number: Int) -> String {
        String(String(100_000 + number).dropFirst())
    }
}

extension AccessLogLine {
    /// - Parameter id: all that it tells of.
    fileprivate init(_ id: String, at time: WallTime = .now()) {
        self.init(
            Head(in: ByteBuffer(string: id), correlationID: 0..<id.utf8.count), Durations(total: .zero), at: time)
    }
}

extension AccessLog.Destination {
    /// The folder of the file is made first.
    fileprivate static func file(_ path: String, in folder: Folder) throws -> Self {
        try FileManager.default.createDirectory(atPath: folder["a"], withIntermediateDirectories: true)
        return .file(path)
    }
}

/// A folder of the test's own, removed with it.
private final class Folder: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("tollgate-\(UUID())").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            Issue.record(error)
        }
    }

    subscript(name: String) -> String { path + "/" + name }

    func read(_ name: String) throws -> String {
        try String(contentsOfFile: self[name], encoding: .utf8)
    }

    /// The correlation IDs of its lines, each of which must be JSON.
    func ids(_ name: String) throws -> [String] {
        try read(name).split(separator: "\n").map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return try #require(object?["correlation_id"] as? String)
        }
    }
}

extension Folder {
    /// Far beyond what other tests write meanwhile.
    private static let bound = 64 << 20

    /// A file, open at its end, that has so many octets less than ``boundingFiles(_:)`` allows.
    fileprivate func open(_ name: String, withRoomFor octets: Int) throws -> CInt {
        let descriptor = Foundation.open(self[name], O_RDWR | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        try #require(ftruncate(descriptor, off_t(Self.bound - octets)) == 0)
        try #require(lseek(descriptor, 0, SEEK_END) > 0)
        return descriptor
    }

    /// What was written behind its first end.
    fileprivate static func rest(of descriptor: CInt) -> String {
        var octets = [UInt8](repeating: 0, count: 8_192)
        let count = pread(descriptor, &octets, octets.count, off_t(bound - octets.count / 2))
        return String(decoding: octets.prefix(max(count, 0)).drop { $0 == 0 }, as: UTF8.self)
    }

    /// No file of the process becomes larger while this runs.
    fileprivate static func boundingFiles(_ body: () async throws -> Void) async throws {
        signal(SIGXFSZ, SIG_IGN)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
        var before = rlimit()
        try #require(getrlimit(resource, &before) == 0)
        var bounded = before
        bounded.rlim_cur = rlim_t(bound)
        try #require(setrlimit(resource, &bounded) == 0)
        defer { setrlimit(resource, &before) }
        try await body()
    }
}

/// Both ends of a pipe.
private final class Pipe: Sendable {
    private let reader: CInt
    private let writer: CInt
    private let isReaderOpen = NIOLockedValueBox(true)

    init(isBlocking: Bool = true) throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
        if !isBlocking { try #require(fcntl(writer, F_SETFL, O_NONBLOCK) == 0) }
    }

    deinit { closeReader() }

    /// Closes the writing end when it is closed.
    func sink() -> LineSink { LineSink(descriptor: writer, closes: true) }

    func closeReader() {
        let wasOpen = isReaderOpen.withLockedValue { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        if wasOpen { close(reader) }
    }

    /// What is there now.
    func read() -> String {
        var octets = [UInt8](repeating: 0, count: 1 << 20)
        let count = Foundation.read(reader, &octets, octets.count)
        return String(decoding: octets[..<max(0, count)], as: UTF8.self)
    }

    /// So many octets, waiting for them.
    func read(_ count: Int) -> String {
        var text = ""
        while text.utf8.count < count {
            let part = read()
            if part.isEmpty { break }
            text += part
        }
        return text
    }
}

/// What the daemon's own log was told.
private final class Messages: Sendable {
    private let lines = NIOLockedValueBox<[String]>([])

    var all: [String] { lines.withLockedValue { $0 } }

    var logger: Logger {
        Logger(label: "test") { _ in Handler(messages: self) }
    }

    private struct Handler: LogHandler {
        let messages: Messages
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let line = ["\(event.level)", "\(event.message)"] + (event.metadata.map { ["\($0)"] } ?? [])
            messages.lines.withLockedValue { $0.append(line.joined(separator: " ")) }
        }
    }
}

extension Logger {
    fileprivate static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}
