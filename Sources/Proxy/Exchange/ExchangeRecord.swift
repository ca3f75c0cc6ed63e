// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Keyspace
import Limits
import NIOCore
import Telemetry

/// What is known of one request, for its access-log line and for the fields of its answer. Kept by its exchange and
/// refilled, so that it allocates only when a request is longer than all before it.
final class ExchangeRecord {
    private static let keptCapacity = 1024

    /// When what happened.
    struct Times {
        let started: NIODeadline
        var decided: NIODeadline?
        var sent: NIODeadline?
        var answered: NIODeadline?
    }

    private(set) var isOpen = false
    private(set) var isStream = false
    private var sampling = LogSampling.all
    /// Of a stream, once it has begun.
    private var fate: LogSampling.Fate?
    var times = Times(started: .distantPast)
    var status: Int?
    /// `allow` or `deny`, once admission was asked.
    var decision: StaticString?
    /// Why it was refused, or how it failed.
    var reason: Reason? {
        get { cause.reason }
        set { cause.reason = newValue }
    }
    /// The policy that speaks in the answer.
    var policy: String?
    var principal: Principal?
    /// Nil where none takes it.
    var plan: Snapshot.RoutePlan?
    /// Nil where the head made no sense.
    private(set) var method: Method?
    /// Of an MCP request whose method is known.
    var message: MessageLabels?
    /// Tokens, by the policy that asks for most.
    var cost: Int?
    var client = ClientAddress.unknown
    var bytesIn = 0
    var bytesOut = 0

    /// Whether the client speaks HTTPS, with whoever stands in front of us.
    private(set) var isSecure = false

    /// Correlation ID, method, path and hosts one behind the other: the head's own bytes are released long before the end.
    private var text = ByteBuffer()
    private var parts = Parts()
    private var cause: (reason: Reason?, detail: String?) = (nil, nil)

    /// Where in the text they stand.
    private struct Parts {
        var id = 0..<0
        var method = 0..<0
        var path = 0..<0
        /// The client's own Host; empty where none is kept.
        var host = 0..<0
        var publicHost = 0..<0
        var sentHost = 0..<0
        var origin = 0..<0
    }

    var route: String? { plan?.pattern }
    /// The same, as metrics number it.
    var routeLabel: Int { plan?.label ?? LabelNames.none }

    // MARK: Beginning

    /// Forgets all of the request before but its client, since who that is is told next.
    ///
    /// - Parameter sampling: of the configuration by which it begins.
    func begin(at now: NIODeadline, _ sampling: LogSampling = .all) {
        isOpen = true
        isStream = false
        self.sampling = sampling
        fate = nil
        times = Times(started: now)
        status = nil
        decision = nil
        cause = (nil, nil)
        policy = nil
        principal = nil
        plan = nil
        method = nil
        message = nil
        cost = nil
        bytesIn = 0
        bytesOut = 0
        isSecure = false
        text.clear()
        parts = Parts()
    }

    /// A request whose head could not be read has nothing but a name of ours.
    func identifyUnread(_ generator: inout CorrelationIDGenerator) {
        generator.write(into: &text)
        parts.id = 0..<text.readableBytes
    }

    /// - Parameter keys: how keys look: what holds one is no name for a request.
    func identify(_ head: RequestHead, hiding keys: CredentialFormat, _ generator: inout CorrelationIDGenerator) {
        if head.count(of: .xCorrelationID) == 1, let range = head.value(of: .xCorrelationID),
            CorrelationID.isWellFormed(head.view(of: range)),
            keys.secret(in: head.section.bytes.readableBytesUInt8Span.extracting(range)) == nil
        {
            parts.id = keep(range, of: head)
        } else {
            generator.write(into: &text)
            parts.id = 0..<text.readableBytes
        }
        method = head.method
        parts.method = keep(head.methodRange, of: head)
    }

    /// Under which scheme and name the client knows us.
    ///
    /// - Parameter isSecure: its connection is; whoever is trusted and speaks for others knows theirs.
    func keepOrigin(_ head: RequestHead, peerIsTrusted: Bool, isSecure: Bool) {
        if let host = head.publicHost(peerIsTrusted: peerIsTrusted) {
            parts.publicHost = keep(host, of: head)
            if host == head.host { parts.host = parts.publicHost }
        }
        self.isSecure =
            peerIsTrusted && head.present.contains(.xForwardedProto) ? head.claimsHTTPS : isSecure
    }

    /// What the handler is sent as Host.
    ///
    /// - Parameters:
    ///   - configured: nil where it is the client's own.
    ///   - authority: where the client has none: HTTP/1.0 may leave it out, what we send may not.
    func keepSentHost(_ configured: [UInt8]?, of head: RequestHead, orElse authority: @autoclosure () -> [UInt8]) {
        // A request that is sent again is sent with the same.
        guard parts.sentHost.isEmpty else { return }
        if let configured {
            parts.sentHost = keep(configured)
        } else if let host = head.host {
            // Most often it is what the client knows us by, and stands there.
            parts.sentHost = parts.host.isEmpty ? keep(host, of: head) : parts.host
        } else {
            parts.sentHost = keep(authority())
        }
    }

    /// - Parameter origin: of the page that asks, where it may.
    func keepAllowedOrigin(_ origin: Range<Int>, of head: RequestHead) {
        parts.origin = keep(origin, of: head)
    }

    /// - Parameters:
    ///   - path: without the query.
    ///   - keys: how keys look: what is secret of one is kept as `***`.
    func keepPath(_ path: Range<Int>, of head: RequestHead, hiding keys: CredentialFormat) {
        let octets = head.section.bytes.readableBytesSpan
        var rest = path
        let start = text.readableBytes
        while let secret = keys.secret(in: head.section.bytes.readableBytesUInt8Span.extracting(rest)) {
            text.writeBytes(octets.extracting(rest.prefix(secret.lowerBound)))
            text.writeStaticString("***")
            rest = rest.dropFirst(secret.upperBound)
        }
        text.writeBytes(octets.extracting(rest))
        parts.path = start..<text.readableBytes
    }

    /// Why it is refused.
    func note(_ refusal: Refusal) {
        cause = (refusal.reason, refusal.loggedDetail)
    }

    private func keep(_ octets: [UInt8]) -> Range<Int> {
        let start = text.readableBytes
        text.writeBytes(octets)
        return start..<text.readableBytes
    }

    private func keep(_ range: Range<Int>, of head: RequestHead) -> Range<Int> {
        let start = text.readableBytes
        text.writeBytes(head.section.bytes.readableBytesSpan.extracting(range))
        return start..<text.readableBytes
    }

    // MARK: What answers repeat

    var correlationID: ByteBufferView { view(parts.id) }
    /// As sent, without the query and what is secret of keys.
    var path: ByteBufferView { view(parts.path) }
    /// As the client knows us; empty where it gives no name, which HTTP/1.0 may.
    var publicHost: ByteBufferView { view(parts.publicHost) }
    /// Empty until the request is sent.
    var sentHost: ByteBufferView { view(parts.sentHost) }
    /// Empty where there is none, or none that is allowed.
    var allowedOrigin: ByteBufferView { view(parts.origin) }

    private func view(_ range: Range<Int>) -> ByteBufferView {
        let start = text.readerIndex
        return text.readableBytesView[(start + range.lowerBound)..<(start + range.upperBound)]
    }

    // MARK: The access log

    /// A stream has a line when it begins, since it may never end.
    func logBegin(to log: AccessLogBuffer?, at now: NIODeadline) {
        isStream = true
        guard let log else { return }
        let fate = fate(in: log)
        self.fate = fate
        write(.begin, fate, to: log, at: now)
    }

    /// - Parameters:
    ///   - traffic: that is told of it.
    ///   - isToolError: as far as was seen of the answer.
    func logEnd(
        to log: AccessLogBuffer?, countedIn metrics: inout LoopMetrics, _ traffic: LoopTraffic? = nil,
        isToolError: Bool, at now: NIODeadline
    ) {
        guard isOpen else { return }
        isOpen = false
        traffic?.ended(self, at: now)
        metrics.ended(self, at: now, isToolError: isToolError)
        // A stream that ends as it should is written if its beginning was.
        if let log { write(isStream ? .end : nil, isOrdinary ? fate ?? fate(in: log) : .written, to: log, at: now) }
        // A connection that idles after one long path doesn't keep room for the next.
        guard text.capacity > Self.keptCapacity else { return }
        text = ByteBuffer()
        parts = Parts()
    }

    private func fate(in log: AccessLogBuffer) -> LogSampling.Fate { isOrdinary ? log.draw(sampling) : .written }

    /// Refusals and errors are never left out by sampling. A client that has enough of a stream is none.
    private var isOrdinary: Bool {
        guard let status, status < 400, decision.map({ $0.isWord("deny") }) != true else { return false }
        guard let reason else { return true }
        return reason == .preflight || reason == .resourceMetadata
            || isStream && reason == .clientClosed
    }

    private func write(
        _ event: AccessLogLine.Event?, _ fate: LogSampling.Fate, to log: AccessLogBuffer, at now: NIODeadline
    ) {
        switch fate {
        case .left: break
        case .written: log.append(line(event, at: now), at: now)
        case .chosen(let weight): log.append(line(event, sample: weight, at: now), at: now)
        }
    }

    private func line(_ event: AccessLogLine.Event?, sample: Int? = nil, at now: NIODeadline) -> AccessLogLine {
        AccessLogLine(
            AccessLogLine.Head(in: text, correlationID: parts.id, method: parts.method, path: parts.path),
            client: client.text, route: route, message: message?.logged ?? AccessLogLine.Message(), status: status,
            decision: decision, reason: reason?.word, detail: cause.detail, policy: policy, cost: cost,
            owner: AccessLogLine.Owner(organization: principal?.organization, keyID: principal?.keyID),
            bytesIn: bytesIn, bytesOut: bytesOut,
            AccessLogLine.Durations(
                admission: times.decided.map { $0 - times.started },
                upstream: times.sent.map { (times.answered ?? now) - $0 }, total: now - times.started),
            sample: sample, event: event)
    }
}

extension MessageLabels {
    fileprivate var logged: AccessLogLine.Message {
        AccessLogLine.Message(
            method: method == MessageMethod.none ? nil : MessageMethod.names[method],
            tool: tool == LabelNames.none ? nil : toolName)
    }
}

extension StaticString {
    fileprivate func isWord(_ word: StaticString) -> Bool {
        utf8CodeUnitCount == word.utf8CodeUnitCount
            && withUTF8Buffer { own in word.withUTF8Buffer { own.elementsEqual($0) } }
    }
}
