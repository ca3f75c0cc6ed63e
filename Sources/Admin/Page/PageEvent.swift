// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Telemetry

/// One event of the page, as server-sent events write it.
enum PageEvent {
    static let type = "text/event-stream"
    /// How soon a browser comes back, in ms.
    private static let retry = 2_000

    /// - Parameters:
    ///   - id: of what Last-Event-ID is sent.
    static func octets(_ name: String, id: Int? = nil, _ data: StatusValue) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeString("event: \(name)\n")
        if let id { buffer.writeString("id: \(id)\n") }
        buffer.writeStaticString("data: ")
        // JSON escapes all line feeds, so that it is one line.
        data.write(into: &buffer)
        buffer.writeStaticString("\n\n")
        return buffer
    }

    /// - Parameter hello: what is told of the sidecar.
    static func hello(_ hello: [StatusValue.Member], at microseconds: Int) -> ByteBuffer {
        var octets = ByteBuffer(string: "retry: \(retry)\n")
        let now = StatusValue.Member(name: "now", value: .thousandths(microseconds / 1_000))
        octets.writeImmutableBuffer(Self.octets("hello", .members(hello + [now])))
        return octets
    }

    /// One second is a sample, several are history. The id goes with the last one.
    static func samples(_ samples: [TrafficSample]) -> ByteBuffer? {
        guard let first = samples.first, let last = samples.last else { return nil }
        guard samples.count > 1 else { return octets("sample", id: last.at, first.value) }
        return octets(
            "history", id: last.at, StatusValue(["from": .number(first.at), "samples": .list(samples.map(\.value))]))
    }
}

extension TrafficSample {
    var value: StatusValue {
        StatusValue([
            "at": .number(at),
            "allowed": .number(outcomes.allowed), "denied": .number(outcomes.denied),
            "refused": .number(outcomes.refused), "failed": .number(outcomes.failed),
            "p50": Self.milliseconds(latency?.p50), "p99": Self.milliseconds(latency?.p99),
            "policies": .members(
                policies.map { policy in
                    let counts = policy.counts
                    return .init(
                        name: policy.name,
                        value: .list([.number(counts.allowed), .number(counts.denied), .number(counts.shadow)]))
                }),
            "routes": .members(
                routes.map { route in
                    .init(
                        name: route.pattern,
                        value: .list([.number(route.requests), .number(route.denied), Self.milliseconds(route.p99)]))
                }),
            "redis": redis.value, "handler": handler.value,
            "connections": .number(gauges.connections), "streams": .number(gauges.streams),
        ])
    }

    /// From µs.
    fileprivate static func milliseconds(_ microseconds: Int?) -> StatusValue {
        microseconds.map(StatusValue.thousandths) ?? .null
    }
}

extension TrafficSample.Exchanges {
    fileprivate var value: StatusValue {
        .list([
            .number(count), .number(failed), TrafficSample.milliseconds(latency?.p50),
            TrafficSample.milliseconds(latency?.p99),
        ])
    }
}
