// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import Telemetry

/// The read-only pages of the admin address:
///
/// 1. `/`: the page that operators keep open, with its files and its events (``PageFile``, ``PageStreams``).
/// 2. `/livez`: 200 `ok` as long as the process answers at all.
/// 3. `/metrics`: what was counted, as Prometheus reads it.
/// 4. `/readyz`: 200 while requests are welcome, else 503; the body says which state, and why.
/// 5. `/status`: version, state, configuration and fleet, as JSON.
///
/// Pages of browsers can't read the first and the last one, nor, where the address is a loopback one, the metrics, nor what
/// `/readyz` says of the configuration (``HostGuard``). The first is there only where the address is a loopback one: it tells
/// who calls.
///
/// Everything else is 404, and other methods than GET and HEAD are 405: there is nothing here that changes anything.
struct AdminPages: Sendable {
    private enum Page: String {
        case events = "/page/events"
        case livez = "/livez"
        case metrics = "/metrics"
        case readyz = "/readyz"
        case status = "/status"
    }

    /// What is answered, without the fields that every answer has.
    struct Answer: Sendable, Equatable {
        var status: HTTPResponseStatus
        var type: String
        var body: ByteBuffer
        var allow: String?
        var cacheControl = "no-store"
        /// Of this answer alone.
        var others = HTTPHeaders()
    }

    enum Reply: Sendable {
        case whole(Answer)
        /// Events, as long as the client likes.
        ///
        /// - Parameter after: the last second that it knows.
        case events(after: Int?)
    }

    private let contents: AdminContents
    private let metrics: [Exposition: MetricsPage]
    private let hostGuard: HostGuard
    private let isLoopback: Bool

    /// - Parameter isLoopback: who asks for metrics is on this machine, and knows it by an address or as localhost. From
    ///   elsewhere Prometheus comes by whatever name it was given.
    init(_ contents: AdminContents, _ hostGuard: HostGuard, isLoopback: Bool) {
        self.contents = contents
        self.hostGuard = hostGuard
        self.isLoopback = isLoopback
        metrics = Dictionary(
            uniqueKeysWithValues: Exposition.allCases.map { ($0, MetricsPage($0, of: contents.metrics)) })
    }

    func reply(to head: HTTPRequestHead) async -> Reply {
        let path = String(Self.path(of: head.uri))
        guard head.method == .GET, path == Page.events.rawValue, refusalOfEvents(to: head) == nil else {
            return .whole(await answer(to: head, path))
        }
        return .events(after: PageResumption.after(head))
    }

    private func answer(to head: HTTPRequestHead, _ path: String) async -> Answer {
        let file = PageFile(rawValue: path)
        let page = Page(rawValue: path)
        guard file != nil || page != nil else {
            return Self.problem(
                .notFound,
                servesPage
                    ? "There are /, /livez, /metrics, /readyz and /status here."
                    : "There are /livez, /metrics, /readyz and /status here.")
        }
        guard head.method == .GET || head.method == .HEAD else {
            var refusal = Self.problem(.methodNotAllowed, "This address is read-only.")
            refusal.allow = "GET, HEAD"
            return refusal
        }
        if let file { return refusalOfPage(to: head) ?? file.answer(to: head) }
        switch page {
        case .events: return refusalOfEvents(to: head) ?? Answer(status: .ok, type: PageEvent.type, body: ByteBuffer())
        case nil: preconditionFailure("A path is of a file, of a page or of neither")
        case .livez: return Self.ok("text/plain; charset=utf-8", "ok\n")
        case .metrics:
            if isLoopback, let flaw = hostGuard.flaw(of: head) { return Self.refusal(of: flaw) }
            let form = Exposition(accepting: head.headers["Accept"])
            return Answer(status: .ok, type: form.contentType, body: await metrics[form]?.page.value ?? ByteBuffer())
        case .readyz: return await readyz(isOpen: hostGuard.flaw(of: head) == nil)
        case .status:
            if let flaw = hostGuard.flaw(of: head) { return Self.refusal(of: flaw) }
            return Self.ok("application/json", await contents.status().json + "\n")
        }
    }

    private var servesPage: Bool { isLoopback && contents.page != nil }

    /// Nil where the page may be read.
    private func refusalOfPage(to head: HTTPRequestHead) -> Answer? {
        guard servesPage else {
            return Self.problem(
                .notFound,
                "The page is served only where admin is a loopback address: ask there, from elsewhere by ssh -L.")
        }
        return hostGuard.flaw(of: head).map(Self.refusal)
    }

    /// Pages of other origins couldn't read them, but could take all the room by images that never end. Browsers say by
    /// Sec-Fetch-Site who asks. Behind Upgrade nothing is read any more, so octets would pile up beside the events.
    private func refusalOfEvents(to head: HTTPRequestHead) -> Answer? {
        if let refusal = refusalOfPage(to: head) { return refusal }
        let isForeign = head.headers["Sec-Fetch-Site"].contains { !["same-origin", "none"].contains($0) }
        if isForeign { return Self.refusal(of: .otherOrigin) }
        return head.headers.contains(name: "Upgrade")
            ? Self.problem(.badRequest, "Ask for events without Upgrade: they come by HTTP/1.1.") : nil
    }

    /// There are as many events under way as there may be.
    static var crowded: Answer {
        var answer = problem(.serviceUnavailable, "As many pages are open as may be: close one.")
        answer.others.add(name: "Retry-After", value: "5")
        return answer
    }

    /// The sidecar ends.
    static var ending: Answer {
        var answer = problem(.serviceUnavailable, "The sidecar is ending.")
        answer.others.add(name: "Retry-After", value: "5")
        return answer
    }

    private static func ok(_ type: String, _ body: String) -> Answer {
        Answer(status: .ok, type: type, body: ByteBuffer(string: body))
    }

    /// - Parameter isOpen: what is wrong with the configuration may be told, which has words of a file in it, and with the
    ///   handler.
    private func readyz(isOpen: Bool) async -> Answer {
        let current = await contents.readiness()
        return Answer(
            status: current.isOpen ? .ok : .serviceUnavailable, type: "application/json",
            body: ByteBuffer(
                string: Self.json(
                    current, configurationError: isOpen ? contents.configurationError() : nil,
                    upstreamFailure: isOpen ? contents.upstreamFailure() : nil) + "\n"))
    }

    private static func refusal(of flaw: HostGuard.Flaw) -> Answer {
        switch flaw {
        case .noSingleHost: problem(.badRequest, "Send one Host header.")
        case .otherHost:
            // RFC 9110 §15.5.20.
            problem(
                .misdirectedRequest,
                "Ask by IP address, by localhost, by the name in admin: or by the machine's own name.")
        case .otherOrigin: problem(.forbidden, "Pages of other origins can't read this.")
        }
    }

    /// Of the absolute form as well (RFC 9112 §3.2.2), without the query.
    private static func path(of target: String) -> Substring {
        let path = target.prefix { $0 != "?" }
        guard !path.hasPrefix("/"), let scheme = path.firstRange(of: "://") else { return path }
        return path[scheme.upperBound...].drop { $0 != "/" }
    }

    /// - Parameters:
    ///   - configurationError: of the last reload. The sidecar goes on as before, so it is as ready.
    ///   - upstreamFailure: another sidecar would have the same handler, or its own may be back by now.
    private static func json(
        _ readiness: Readiness, configurationError: String?, upstreamFailure: Status.Failure?
    ) -> String {
        var members = [StatusValue.Member(name: "status", value: .text(readiness.status))]
        if let cause = readiness.cause {
            members.append(.init(name: "reason", value: .text(cause.reason)))
            members.append(.init(name: "detail", value: .text(cause.detail)))
            if let since = cause.since { members.append(.init(name: "since", value: .text(since.written))) }
        }
        if let configurationError {
            let value = StatusValue(["ok": .truth(false), "error": .text(configurationError)])
            members.append(.init(name: "configuration", value: value))
        }
        if let upstreamFailure {
            let value = StatusValue([
                "ok": .truth(false), "error": .text(upstreamFailure.error),
                "since": .text(upstreamFailure.since.written),
            ])
            members.append(.init(name: "upstream", value: value))
        }
        return StatusValue.members(members).json
    }

    /// RFC 9457. Only constants go in, so nothing has to be escaped.
    private static func problem(_ status: HTTPResponseStatus, _ detail: StaticString) -> Answer {
        Answer(
            status: status, type: "application/problem+json",
            body: ByteBuffer(
                string: """
                    {"type":"about:blank","title":"\(status.reasonPhrase)","status":\(status.code),"detail":"\(detail)"}

                    """))
    }
}
