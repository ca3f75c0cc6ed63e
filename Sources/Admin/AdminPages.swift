// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import Telemetry

/// The read-only pages of the admin address:
///
/// 1. `/livez`: 200 `ok` as long as the process answers at all.
/// 2. `/metrics`: what was counted, as Prometheus reads it.
/// 3. `/readyz`: 200 while requests are welcome, else 503; the body says which state, and why.
/// 4. `/status`: version, state, configuration and fleet, as JSON.
///
/// Pages of browsers can't read the last one, nor, where the address is a loopback one, the second, nor what the third says of
/// the configuration (``HostGuard``).
///
/// Everything else is 404, and other methods than GET and HEAD are 405: there is nothing here that changes anything.
struct AdminPages: Sendable {
    private enum Page: String {
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

    func answer(to head: HTTPRequestHead) async -> Answer {
        guard let page = Page(rawValue: String(Self.path(of: head.uri))) else {
            return Self.problem(.notFound, "There are /livez, /metrics, /readyz and /status here.")
        }
        guard head.method == .GET || head.method == .HEAD else {
            var refusal = Self.problem(.methodNotAllowed, "This address is read-only.")
            refusal.allow = "GET, HEAD"
            return refusal
        }
        switch page {
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

    private static func ok(_ type: String, _ body: String) -> Answer {
        Answer(status: .ok, type: type, body: ByteBuffer(string: body))
    }

    /// - Parameter isOpen: what is wrong with the configuration may be told: it has words of a file in it.
    private func readyz(isOpen: Bool) async -> Answer {
        let current = await contents.readiness()
        return Answer(
            status: current.isOpen ? .ok : .serviceUnavailable, type: "application/json",
            body: ByteBuffer(
                string: Self.json(current, configurationError: isOpen ? contents.configurationError() : nil) + "\n"))
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

    /// - Parameter configurationError: of the last reload. The sidecar goes on as before, so it is as ready.
    private static func json(_ readiness: Readiness, configurationError: String?) -> String {
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
