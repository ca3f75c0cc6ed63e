// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// What the access log says of one request: one JSON object on one line, members always in the same order. What isn't known
/// is left out.
///
/// Views are what the caller keeps of the head, whatever octets the client sent; they are escaped here.
package struct AccessLogLine {
    /// Streams have a line when they begin and one when they end, other requests one without an event.
    package enum Event: Sendable {
        case begin, end
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
    /// The status that was meant: 429 also where 200 was sent because the client understands errors only in-band.
    package var status: Int?
    package var decision: StaticString?
    package var reason: StaticString?
    package var policy: String?
    package var organization: String?
    package var keyID: String?
    package var bytesIn: Int
    package var bytesOut: Int
    package var admission: TimeAmount?
    package var upstream: TimeAmount?
    package var total: TimeAmount
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
    /// Ends with a line feed.
    func write(into buffer: inout ByteBuffer, timestamp: inout Timestamp) {
        buffer.writeStaticString(#"{"time":""#)
        timestamp.write(time, into: &buffer)
        buffer.writeStaticString(#"","correlation_id":"#)
        buffer.writeJSONString(correlationID)
        writeRequest(into: &buffer)
        writeDecision(into: &buffer)
        buffer.writeStaticString(#","bytes_in":"#)
        buffer.writeDecimal(bytesIn)
        buffer.writeStaticString(#","bytes_out":"#)
        buffer.writeDecimal(bytesOut)
        if let admission { buffer.writeMilliseconds(#","ms_admission":"#, admission) }
        if let upstream { buffer.writeMilliseconds(#","ms_upstream":"#, upstream) }
        buffer.writeMilliseconds(#","ms_total":"#, total)
        switch event {
        case nil: buffer.writeStaticString("}\n")
        case .begin: buffer.writeStaticString(",\"event\":\"begin\"}\n")
        case .end: buffer.writeStaticString(",\"event\":\"end\"}\n")
        }
    }

    private func writeRequest(into buffer: inout ByteBuffer) {
        if let client { buffer.writeMember(#","client":"#, client) }
        if let method { buffer.writeMember(#","method":"#, method) }
        if let path { buffer.writeMember(#","path":"#, path) }
        if let route { buffer.writeMember(#","route":"#, route) }
        if let status {
            buffer.writeStaticString(#","status":"#)
            buffer.writeDecimal(status)
        }
    }

    private func writeDecision(into buffer: inout ByteBuffer) {
        if let decision { buffer.writeMember(#","decision":"#, decision) }
        if let reason { buffer.writeMember(#","reason":"#, reason) }
        if let policy { buffer.writeMember(#","policy":"#, policy) }
        if let organization { buffer.writeMember(#","org":"#, organization) }
        if let keyID { buffer.writeMember(#","key_id":"#, keyID) }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeMember(_ name: StaticString, _ value: ByteBufferView) {
        writeStaticString(name)
        writeJSONString(value)
    }

    fileprivate mutating func writeMember(_ name: StaticString, _ value: String) {
        writeStaticString(name)
        writeJSONString(value)
    }

    /// A word of our own: nothing in it needs escaping.
    fileprivate mutating func writeMember(_ name: StaticString, _ value: StaticString) {
        writeStaticString(name)
        writeStaticString("\"")
        writeStaticString(value)
        writeStaticString("\"")
    }

    /// With three decimals, which is to the microsecond.
    fileprivate mutating func writeMilliseconds(_ name: StaticString, _ amount: TimeAmount) {
        let microseconds = max(0, amount.nanoseconds / 1_000)
        writeStaticString(name)
        writeDecimal(microseconds / 1_000)
        writeStaticString(".")
        writeDigits(Int(microseconds % 1_000), count: 3)
    }
}
