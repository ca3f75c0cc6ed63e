// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import Octets

/// What the access log says of one request: one JSON object on one line, members always in the same order. What isn't known
/// is left out.
///
/// It is made at once and written from where it is: to set its members one by one, or to copy it, costs as much as to
/// write it.
package struct AccessLogLine {
    /// Streams have a line when they begin and one when they end, other requests one without an event.
    package enum Event: Sendable {
        case begin, end
    }

    /// The head that came, as far as lines tell of it, and the name that it has, in which nothing needs escaping. Whatever
    /// else the client sent is escaped here.
    package struct Head {
        let text: ByteBuffer
        let correlationID: Range<Int>
        let method: Range<Int>
        let path: Range<Int>

        /// - Parameters:
        ///   - text: where the others stand, as offsets from its first octet.
        ///   - method: empty where it isn't known, as is the path.
        ///   - path: as sent, without the query and the secrets of keys.
        package init(
            in text: ByteBuffer, correlationID: Range<Int>, method: Range<Int> = 0..<0, path: Range<Int> = 0..<0
        ) {
            self.text = text
            self.correlationID = correlationID
            self.method = method
            self.path = path
        }
    }

    /// What an MCP request asks for.
    package struct Message {
        /// As the specification has it; else `other`.
        package var method: StaticString?
        /// That is called, where the configuration names it; else `other`.
        package var tool: String?

        package init(method: StaticString? = nil, tool: String? = nil) {
            self.method = method
            self.tool = tool
        }
    }

    /// Whose key it was.
    package struct Owner {
        let organization: String?
        let keyID: String?

        package init(organization: String? = nil, keyID: String? = nil) {
            self.organization = organization
            self.keyID = keyID
        }
    }

    /// What it took.
    package struct Durations {
        let admission: TimeAmount?
        let upstream: TimeAmount?
        let total: TimeAmount

        package init(admission: TimeAmount? = nil, upstream: TimeAmount? = nil, total: TimeAmount) {
            self.admission = admission
            self.upstream = upstream
            self.total = total
        }
    }

    let time: WallTime
    let head: Head
    let client: String?
    let route: String?
    let message: Message
    let status: Int?
    let decision: StaticString?
    let reason: StaticString?
    let detail: String?
    let policy: String?
    let cost: Int?
    let owner: Owner
    let bytesIn: Int
    let bytesOut: Int
    let durations: Durations
    let sample: Int?
    let event: Event?

    /// - Parameters:
    ///   - time: when the line was written: `total` after the request began.
    ///   - client: its address, as the trusted proxies tell it; nothing in it needs escaping.
    ///   - route: its pattern, as the configuration has it.
    ///   - status: that was meant: 429 also where 200 was sent because the client understands errors only in-band.
    ///   - detail: which of the rules was broken that have the reason in common; nothing of the request.
    ///   - cost: tokens it takes by the policy that asks for most.
    ///   - sample: in thousandths: for how many requests the line stands, where some aren't written (``LogSampling``).
    package init(
        _ head: Head, client: String? = nil, route: String? = nil, message: Message = Message(), status: Int? = nil,
        decision: StaticString? = nil, reason: StaticString? = nil, detail: String? = nil, policy: String? = nil,
        cost: Int? = nil, owner: Owner = Owner(), bytesIn: Int = 0, bytesOut: Int = 0, _ durations: Durations,
        sample: Int? = nil, event: Event? = nil, at time: WallTime = .now()
    ) {
        self.time = time
        self.head = head
        self.client = client
        self.route = route
        self.message = message
        self.status = status
        self.decision = decision
        self.reason = reason
        self.detail = detail
        self.policy = policy
        self.cost = cost
        self.owner = owner
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.durations = durations
        self.sample = sample
        self.event = event
    }
}

extension AccessLogLine {
    /// Octets of names, punctuation, time and numbers: 80 before the path, fewer than 400 behind it.
    private static var overhead: Int { 512 }
    /// A path of more octets, which may be as long as a head, is written by itself.
    private static var shortPath: Int { 256 }

    /// Ends with a line feed. In one stretch, but for a long path.
    func write(into buffer: inout ByteBuffer, timestamp: inout LogTimestamp) {
        let path = head.path
        guard path.count > Self.shortPath else {
            return buffer.writeStretch(atMost: mostOctets + JSONText.maximumSize(of: path.count)) { output in
                writeBeginning(to: &output, &timestamp)
                if !path.isEmpty {
                    output.append(#","path":"#)
                    output.appendJSONString(head.text.readableBytesUInt8Span.extracting(path))
                }
                writeEnd(to: &output)
            }
        }
        buffer.writeStretch(atMost: mostOctets) { writeBeginning(to: &$0, &timestamp) }
        buffer.writeStaticString(#","path":"#)
        buffer.writeJSONString(head.text.readableBytesUInt8Span.extracting(path))
        buffer.writeStretch(atMost: mostOctets) { writeEnd(to: &$0) }
    }

    /// Of all but the path.
    private var mostOctets: Int {
        let octets = JSONText.maximumSize(of: head.correlationID.count) + JSONText.maximumSize(of: head.method.count)
        let strings =
            Self.maximumSize(of: client) + Self.maximumSize(of: route) + Self.maximumSize(of: message.tool)
            + Self.maximumSize(of: detail) + Self.maximumSize(of: policy) + Self.maximumSize(of: owner.organization)
            + Self.maximumSize(of: owner.keyID)
        let words =
            (message.method?.utf8CodeUnitCount ?? 0) + (decision?.utf8CodeUnitCount ?? 0)
            + (reason?.utf8CodeUnitCount ?? 0)
        return Self.overhead + octets + strings + words
    }

    private func writeBeginning(to output: inout OutputRawSpan, _ timestamp: inout LogTimestamp) {
        let octets = head.text.readableBytesUInt8Span
        output.append(#"{"time":""#)
        timestamp.append(time, to: &output)
        output.append(#"","correlation_id":""#)
        output.append(octets.extracting(head.correlationID))
        output.append(UInt8(ascii: "\""))
        if let client {
            assert(
                client.utf8.allSatisfy { (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x5C },
                "It is no text of a peer's")
            output.append(#","client":""#)
            output.append(text: client)
            output.append(UInt8(ascii: "\""))
        }
        if !head.method.isEmpty {
            output.append(#","method":"#)
            output.appendJSONString(octets.extracting(head.method))
        }
    }

    private func writeEnd(to output: inout OutputRawSpan) {
        output.appendMember(#","route":"#, route)
        output.appendMember(#","mcp_method":"#, message.method)
        output.appendMember(#","tool":"#, message.tool)
        if let status {
            output.append(#","status":"#)
            output.appendDecimal(status)
        }
        output.appendMember(#","decision":"#, decision)
        output.appendMember(#","reason":"#, reason)
        output.appendMember(#","detail":"#, detail)
        output.appendMember(#","policy":"#, policy)
        if let cost {
            output.append(#","cost":"#)
            output.appendDecimal(cost)
        }
        output.appendMember(#","org":"#, owner.organization)
        output.appendMember(#","key_id":"#, owner.keyID)
        output.append(#","bytes_in":"#)
        output.appendDecimal(bytesIn)
        output.append(#","bytes_out":"#)
        output.appendDecimal(bytesOut)
        output.appendMilliseconds(#","ms_admission":"#, durations.admission)
        output.appendMilliseconds(#","ms_upstream":"#, durations.upstream)
        output.appendMilliseconds(#","ms_total":"#, durations.total)
        if let sample { output.appendThousandths(#","sample":"#, sample) }
        switch event {
        case nil: output.append("}\n")
        case .begin: output.append(",\"event\":\"begin\"}\n")
        case .end: output.append(",\"event\":\"end\"}\n")
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
