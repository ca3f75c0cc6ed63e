// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Octets

/// What the access log says of one request: one JSON object on one line, members always in the same order. What isn't known
/// is left out.
///
/// Views are what the caller keeps of the head, whatever octets the client sent; they are escaped here.
package struct AccessLogLine {
    /// Streams have a line when they begin and one when they end, other requests one without an event.
    package enum Event: Sendable {
        case begin, end
    }

    /// What an MCP request asks for.
    package struct Message {
        /// As the specification has it; else `other`.
        package var method: StaticString?
        /// That is called, where the configuration names it; else `other`.
        package var tool: String?
    }

    /// Whose key it was.
    package struct Owner {
        package var organization: String?
        package var keyID: String?
    }

    /// When the line was written: `total` after the request began.
    package var time: WallTime
    package var correlationID: ByteBufferView
    /// The address of the client, as the trusted proxies tell it.
    package var client: String?
    package var method: ByteBufferView?
    /// As sent, without the query: secrets stand there.
    package var path: ByteBufferView?
    /// The pattern of the route, as the configuration has it.
    package var route: String?
    package var message = Message()
    /// The status that was meant: 429 also where 200 was sent because the client understands errors only in-band.
    package var status: Int?
    package var decision: StaticString?
    package var reason: StaticString?
    package var policy: String?
    /// Tokens it takes by the policy that asks for most.
    package var cost: Int?
    package var owner = Owner()
    package var bytesIn: Int
    package var bytesOut: Int
    package var admission: TimeAmount?
    package var upstream: TimeAmount?
    package var total: TimeAmount
    /// In thousandths: for how many requests the line stands, where some aren't written (``LogSampling``).
    package var sample: Int?
    package var event: Event?

    package init(
        correlationID: ByteBufferView, bytesIn: Int = 0, bytesOut: Int = 0, total: TimeAmount,
        at time: WallTime = .now()
    ) {
        self.time = time
        self.correlationID = correlationID
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.total = total
    }
}

extension AccessLogLine {
    /// Octets of names, punctuation, time and numbers: 80 before the path, fewer than 400 behind it.
    private static var overhead: Int { 512 }

    /// Ends with a line feed. The path, which may be long, is written by itself; the rest in two stretches.
    func write(into buffer: inout ByteBuffer, timestamp: inout LogTimestamp) {
        writeBeginning(into: &buffer, &timestamp)
        if let path {
            buffer.writeStaticString(#","path":"#)
            buffer.writeJSONString(path)
        }
        writeEnd(into: &buffer)
    }

    private func writeBeginning(into buffer: inout ByteBuffer, _ timestamp: inout LogTimestamp) {
        let correlationID = ByteBuffer(correlationID)
        let method = method.map { ByteBuffer($0) }
        let size =
            JSONText.maximumSize(of: correlationID.readableBytes) + JSONText.maximumSize(of: method?.readableBytes ?? 0)
            + Self.maximumSize(of: client)
        buffer.writeStretch(atMost: Self.overhead + size) { output in
            output.append(#"{"time":""#)
            timestamp.append(time, to: &output)
            output.append(#"","correlation_id":"#)
            output.appendJSONString(correlationID.readableBytesUInt8Span)
            output.appendMember(#","client":"#, client)
            if let method {
                output.append(#","method":"#)
                output.appendJSONString(method.readableBytesUInt8Span)
            }
        }
    }

    private func writeEnd(into buffer: inout ByteBuffer) {
        let strings =
            Self.maximumSize(of: route) + Self.maximumSize(of: message.tool) + Self.maximumSize(of: policy)
            + Self.maximumSize(of: owner.organization) + Self.maximumSize(of: owner.keyID)
        let words =
            (message.method?.utf8CodeUnitCount ?? 0) + (decision?.utf8CodeUnitCount ?? 0)
            + (reason?.utf8CodeUnitCount ?? 0)
        buffer.writeStretch(atMost: Self.overhead + strings + words) { output in
            output.appendMember(#","route":"#, route)
            output.appendMember(#","mcp_method":"#, message.method)
            output.appendMember(#","tool":"#, message.tool)
            if let status {
                output.append(#","status":"#)
                output.appendDecimal(Int64(status))
            }
            output.appendMember(#","decision":"#, decision)
            output.appendMember(#","reason":"#, reason)
            output.appendMember(#","policy":"#, policy)
            if let cost {
                output.append(#","cost":"#)
                output.appendDecimal(Int64(cost))
            }
            output.appendMember(#","org":"#, owner.organization)
            output.appendMember(#","key_id":"#, owner.keyID)
            output.append(#","bytes_in":"#)
            output.appendDecimal(Int64(bytesIn))
            output.append(#","bytes_out":"#)
            output.appendDecimal(Int64(bytesOut))
            output.appendMilliseconds(#","ms_admission":"#, admission)
            output.appendMilliseconds(#","ms_upstream":"#, upstream)
            output.appendMilliseconds(#","ms_total":"#, total)
            if let sample { output.appendThousandths(#","sample":"#, sample) }
            switch event {
            case nil: output.append("}\n")
            case .begin: output.append(",\"event\":\"begin\"}\n")
            case .end: output.append(",\"event\":\"end\"}\n")
            }
        }
    }

    private static func maximumSize(of text: String?) -> Int {
        text.map { JSONText.maximumSize(of: $0.utf8.count) } ?? 0
    }
}

extension OutputRawSpan {
    fileprivate mutating func appendMember(_ name: StaticString, _ value: String?) {
        guard let value else { return }
        append(name)
        appendJSONString(value)
    }

    /// A word of our own: nothing in it needs escaping.
    fileprivate mutating func appendMember(_ name: StaticString, _ value: StaticString?) {
        guard let value else { return }
        append(name)
        append(UInt8(ascii: "\""))
        append(value)
        append(UInt8(ascii: "\""))
    }

    /// With as few decimals as say it.
    fileprivate mutating func appendThousandths(_ name: StaticString, _ value: Int) {
        append(name)
        appendDecimal(value / 1_000)
        let rest = value % 1_000
        guard rest > 0 else { return }
        append(UInt8(ascii: "."))
        if rest % 100 == 0 {
            appendDigits(rest / 100, count: 1)
        } else if rest % 10 == 0 {
            appendDigits(rest / 10, count: 2)
        } else {
            appendDigits(rest, count: 3)
        }
    }

    /// With three decimals, which is to the microsecond.
    fileprivate mutating func appendMilliseconds(_ name: StaticString, _ amount: TimeAmount?) {
        guard let amount else { return }
        let microseconds = max(0, amount.nanoseconds / 1_000)
        append(name)
        appendDecimal(microseconds / 1_000)
        append(UInt8(ascii: "."))
        appendDigits(Int(microseconds % 1_000), count: 3)
    }
}
