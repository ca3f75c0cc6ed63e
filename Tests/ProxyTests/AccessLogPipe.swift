// SPDX-License-Identifier: Apache-2.0

import Foundation
import LibC
import Logging
import Testing

@testable import Telemetry

/// Where an access log goes whose lines a test waits for, and not for a time.
final class AccessLogPipe {
    let log: AccessLog
    private let pipe = Pipe()
    private var rest: [UInt8] = []

    init(logger: Logger) {
        let sink = LineSink(descriptor: pipe.fileHandleForWriting.fileDescriptor, closes: false)
        log = AccessLog(.stdout, sink: sink, logger: logger)
    }

    /// The next so many lines, each as the members of these names, `-` where it has none.
    func lines(_ count: Int, _ members: [String]) throws -> [String] {
        try (0..<count).map { _ in
            while !rest.contains(UInt8(ascii: "\n")) {
                var event = pollfd(fd: pipe.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
                try #require(poll(&event, 1, 30_000) == 1, "no such line was written")
                rest += pipe.fileHandleForReading.availableData
            }
            let end = try #require(rest.firstIndex(of: UInt8(ascii: "\n")))
            defer { rest.removeFirst(end + 1) }
            let line = try JSONSerialization.jsonObject(with: Data(rest[..<end])) as? [String: Any]
            return members.map { name in line?[name].map { "\($0)" } ?? "-" }.joined(separator: " ")
        }
    }
}
