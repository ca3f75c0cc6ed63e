// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1

/// The read-only pages of the admin address:
///
/// 1. `/livez`: 200 `ok` as long as the process answers at all.
/// 2. `/readyz`: 200 while requests are welcome, else 503; the body says which state.
///
/// Everything else is 404, and other methods than GET and HEAD are 405: there is nothing here that changes anything.
struct AdminPages: Sendable {
    /// What is answered, without the fields that every answer has.
    struct Answer: Sendable, Equatable {
        var status: HTTPResponseStatus
        var type: String
        var body: String
        var allow: String?
    }

    let readiness: @Sendable () async -> Readiness

    func answer(to method: HTTPMethod, _ target: String) async -> Answer {
        let path = Self.path(of: target)
        guard path == "/livez" || path == "/readyz" else {
            return Self.problem(.notFound, "There are /livez and /readyz here.")
        }
        guard method == .GET || method == .HEAD else {
            var refusal = Self.problem(.methodNotAllowed, "This address is read-only.")
            refusal.allow = "GET, HEAD"
            return refusal
        }
        guard path == "/readyz" else {
            return Answer(status: .ok, type: "text/plain; charset=utf-8", body: "ok\n")
        }
        let current = await readiness()
        return Answer(
            status: current == .ready ? .ok : .serviceUnavailable, type: "application/json",
            body: Self.json(current) + "\n")
    }

    /// Of the absolute form as well (RFC 9112 §3.2.2), without the query.
    private static func path(of target: String) -> Substring {
        let path = target.prefix { $0 != "?" }
        guard !path.hasPrefix("/"), let scheme = path.firstRange(of: "://") else { return path }
        return path[scheme.upperBound...].drop { $0 != "/" }
    }

    private static func json(_ readiness: Readiness) -> String {
        guard let cause = readiness.cause else { return #"{"status":"\#(readiness.status)"}"# }
        return #"{"status":"\#(readiness.status)","reason":"\#(cause.reason)","detail":"\#(cause.detail)"}"#
    }

    /// RFC 9457. Only constants go in, so nothing has to be escaped.
    private static func problem(_ status: HTTPResponseStatus, _ detail: StaticString) -> Answer {
        Answer(
            status: status, type: "application/problem+json",
            body: """
                {"type":"about:blank","title":"\(status.reasonPhrase)","status":\(status.code),"detail":"\(detail)"}

                """)
    }
}
