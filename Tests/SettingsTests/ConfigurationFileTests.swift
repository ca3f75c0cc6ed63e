// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import Testing

@Suite struct ConfigurationFileTests {
    @Test func anAbsentOneIsNamed() {
        #expect(problem(at: "no/such.yaml") == "no/such.yaml: expected a YAML file, got no such file")
        #expect(problem(at: "") == ": expected a YAML file, got no such file")
    }

    @Test func aDirectoryIsNamed() {
        #expect(problem(at: "/tmp") == "/tmp: expected a YAML file, got a directory")
    }

    @Test func endlessOnesAreCut() throws {
        #expect(problem(at: "/dev/zero") == "/dev/zero: expected at most 1 MiB, got more")
        let told = try problem(of: Data(repeating: UInt8(ascii: "#"), count: 1 << 20 + 1))
        #expect(told == "expected at most 1 MiB, got more")
    }

    @Test func aMebibyteIsRead() throws {
        let text = "loops: 3\n#" + String(repeating: "x", count: (1 << 20) - 10)
        try withFile(Data(text.utf8)) { path in
            let settings = try Settings.load(ConfigurationSources(file: path))
            #expect(settings.loops == 3)
        }
    }

    @Test func othersThanTextAreNamed() throws {
        #expect(try problem(of: Data("a: 1\nb: \u{7F}\n".utf8)) == "2:4: expected text, got the control character 0x7f")
        #expect(
            try problem(of: Data([0x7F, 0x45, 0x4C, 0x46])) == "1:1: expected text, got the control character 0x7f")
        #expect(try problem(of: Data("loops: 1\0".utf8)) == "1:9: expected text, got the control character 0x00")
        #expect(
            try problem(of: Data("listen: é\n".utf8) + Data([0x61, 0xC3, 0xA9, 0xE9, 0x0A]))
                == "2:3: expected UTF-8 text, got other octets")
        #expect(
            try problem(of: Data([0xFF, 0xFE, 0x61, 0x00]))
                == "expected UTF-8 text, got UTF-16 (save it as UTF-8)")
    }

    @Test func aByteOrderMarkAndCarriageReturnsPass() throws {
        try withFile(Data("\u{FEFF}loops: 3\r\nlog:\r\n  level: error\r\n".utf8)) { path in
            let settings = try Settings.load(ConfigurationSources(file: path))
            #expect(settings.loops == 3)
            #expect(settings.log.level == .error)
        }
    }

    /// A FIFO that was left over, say. The open call of whoever waits for its writer doesn't return.
    @Test(.timeLimit(.minutes(1))) func aPipeWithoutAWriterIsNotWaitedFor() throws {
        let path = NSTemporaryDirectory() + "/tollgate-\(UUID().uuidString).fifo"
        #expect(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        #expect(problem(at: path) == "\(path): expected a YAML file, got a pipe that nobody writes to")
    }

    /// As of `<(…)` in a shell, whose command may take a while.
    @Test(arguments: [0.0, 0.2]) func aPipeIsReadToItsEnd(delay: TimeInterval) throws {
        let pipe = Pipe()
        let writer = Thread {
            Thread.sleep(forTimeInterval: delay)
            for part in ["loops: 3\n", "namespace: piped\n"] {
                pipe.fileHandleForWriting.write(Data(part.utf8))
                Thread.sleep(forTimeInterval: delay)
            }
            pipe.fileHandleForWriting.closeFile()
        }
        writer.start()
        let path = "/dev/fd/\(pipe.fileHandleForReading.fileDescriptor)"
        let settings = try Settings.load(ConfigurationSources(file: path))
        #expect(settings.loops == 3)
        #expect(settings.namespace == "piped")
    }

    /// Without the path of the temporary file.
    private func problem(of contents: Data) throws -> String {
        try withFile(contents) { path in
            let told = problem(at: path)
            #expect(told.hasPrefix(path + ":"))
            return String(told.dropFirst(path.count + 1).drop(while: { $0 == " " }))
        }
    }

    private func problem(at path: String) -> String {
        do {
            _ = try Settings.load(ConfigurationSources(file: path))
            return "none"
        } catch {
            return error.description
        }
    }
}
