// SPDX-License-Identifier: Apache-2.0

import Foundation
import MCP
import NIOCore

/// How long our scanner takes over 5 MB beside Foundation's JSONDecoder, in one run: CPU time of the thread, medians of
/// alternating rounds.
@main
enum ScannerBenchmark {
    private static let size = 5_000_000
    private static let rounds = 9

    /// What a request's parameters may be, so that the decoder has to build it.
    private indirect enum Value: Decodable {
        case null, bool(Bool), number(Double), string(String), array([Value]), object([String: Value])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if container.decodeNil() {
                self = .null
            } else if let value = try? container.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? container.decode(Double.self) {
                self = .number(value)
            } else if let value = try? container.decode(String.self) {
                self = .string(value)
            } else if let value = try? container.decode([Value].self) {
                self = .array(value)
            } else {
                self = .object(try container.decode([String: Value].self))
            }
        }
    }

    /// The least a decoder can be asked for: it parses all and keeps two strings.
    private struct Envelope: Decodable {
        var id: Int
        var method: String
    }

    static func main() throws {
        for (name, argument) in [
            ("small objects", #"{"a":1,"b":[true,null],"c":"x"}"#),
            ("long strings", "\"" + String(repeating: "The quick brown fox. ", count: 5_000) + "\""),
            ("text beyond ASCII", "\"" + String(repeating: "Größe 東京 ", count: 5_000) + "\""),
        ] {
            let count = size / (argument.utf8.count + 1)
            let text =
                #"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":["#
                + Array(repeating: argument, count: count).joined(separator: ",") + "]}}"
            let data = Data(text.utf8)
            let slices = stride(from: 0, to: data.count, by: 64 * 1024).map {
                ByteBuffer(bytes: data[$0..<min($0 + 64 * 1024, data.count)])
            }
            var (ours, envelope, whole) = ([Duration](), [Duration](), [Duration]())
            for _ in 0..<rounds {
                ours.append(
                    cpuTime {
                        var scanner = MessageScanner()
                        for slice in slices { scanner.scan(slice) }
                        guard case .messages = scanner.finish() else { fatalError("not read") }
                    })
                envelope.append(
                    try cpuTime { _ = try JSONDecoder().decode(Envelope.self, from: data) })
            }
            for _ in 0..<3 {
                whole.append(try cpuTime { _ = try JSONDecoder().decode(Value.self, from: data) })
            }
            let (us, least, most) = (median(ours), median(envelope), median(whole))
            print(
                "\(name): \(milliseconds(us)) ms; JSONDecoder: \(milliseconds(least)) ms for the envelope alone, "
                    + "\(milliseconds(most)) ms for all; ratios \(ratio(us, least)) \(ratio(us, most))")
        }
    }

    private static func cpuTime(_ work: () throws -> Void) rethrows -> Duration {
        let before = cpuClock()
        try work()
        return cpuClock() - before
    }

    private static func cpuClock() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    private static func median(_ times: [Duration]) -> Duration { times.sorted()[times.count / 2] }
    private static func milliseconds(_ time: Duration) -> String { String(format: "%.1f", time / .milliseconds(1)) }
    private static func ratio(_ one: Duration, _ other: Duration) -> String { String(format: "%.3f", one / other) }
}
