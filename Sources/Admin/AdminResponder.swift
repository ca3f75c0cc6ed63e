// SPDX-License-Identifier: Apache-2.0

import Hummingbird

/// The read-only pages of the admin address:
///
/// 1. `/livez`: 200 `ok` as long as the process answers at all.
/// 2. `/readyz`: 200 while requests are welcome, else 503; the body says which state.
///
/// Everything else is 404, and other methods than GET and HEAD are 405: there is nothing here that changes anything.
struct AdminResponder: HTTPResponder {
    let health: Health

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        let page: (@Sendable () async -> Response)? =
            switch request.uri.path {
            case "/livez": { Self.text(.ok, "ok\n") }
            case "/readyz": { await readyz() }
            default: nil
            }
        guard let page else { return Self.problem(.notFound, "There are /livez and /readyz here.") }
        guard request.method == .get || request.method == .head else {
            var refusal = Self.problem(.methodNotAllowed, "This address is read-only.")
            refusal.headers[.allow] = "GET, HEAD"
            return refusal
        }
        let response = await page()
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func readyz() async -> Response {
        let readiness = await health.readiness()
        return Self.response(
            readiness == .ready ? .ok : .serviceUnavailable, type: "application/json",
            Self.json(readiness) + "\n")
    }

    private static func json(_ readiness: Readiness) -> String {
        guard let cause = readiness.cause else { return #"{"status":"\#(readiness.status)"}"# }
        return #"{"status":"\#(readiness.status)","reason":"\#(cause.reason)","detail":"\#(cause.detail)"}"#
    }

    private static func text(_ status: HTTPResponse.Status, _ body: String) -> Response {
        response(status, type: "text/plain; charset=utf-8", body)
    }

    /// RFC 9457. Only constants go in, so nothing has to be escaped.
    private static func problem(_ status: HTTPResponse.Status, _ detail: StaticString) -> Response {
        response(
            status, type: "application/problem+json",
            """
            {"type":"about:blank","title":"\(status.reasonPhrase)","status":\(status.code),"detail":"\(detail)"}

            """)
    }

    private static func response(_ status: HTTPResponse.Status, type: String, _ body: String) -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: body)))
    }
}
