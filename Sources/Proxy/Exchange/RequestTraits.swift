// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// What of a request's head is needed after its bytes were released.
struct RequestTraits {
    var method = Method.get
    var version = HTTPVersion.http11
    var framing = BodyFraming.none
    var asksForWebSocket = false
    /// The client would take a stream of events.
    var acceptsEventStream = false
    /// Refusals aren't shown to the page that asks.
    var hidesRefusals = false
    /// It is answered, or passed on, as a browser's question before a request.
    var isPreflight = false

    init() {}

    init(_ head: borrowing RequestHead) {
        method = head.method
        version = head.version
        framing = head.framing
        asksForWebSocket = head.asksForWebSocket
        acceptsEventStream = head.acceptsEventStream
    }

    var hasBody: Bool { framing.hasBody }

    /// A handler may not expect that body, and read it as the next request.
    var hasOddBody: Bool { framing.hasBody && method.expectsNoBody }
}

extension RequestHead {
    /// Methods are written in capitals. Some handlers (Django, Werkzeug) take `get` for `GET`, so it must not pass as something
    /// that no route and no policy knows.
    var hasOddMethod: Bool {
        method == .other && view(of: methodRange).contains { UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0 }
    }

    /// As in ``RequestTraits``.
    var hasOddBody: Bool { framing.hasBody && method.expectsNoBody }
}

extension BodyFraming {
    var hasBody: Bool {
        switch self {
        case .none, .length(0): false
        case .length, .chunked, .untilClose: true
        }
    }

    /// Nil where the end of the body shows only when it comes.
    var declaredLength: UInt64? {
        switch self {
        case .none: 0
        case .length(let length): length
        case .chunked, .untilClose: nil
        }
    }
}

extension Method {
    /// RFC 9110 §9.3 gives a body no meaning here, and handlers there are that don't read one.
    fileprivate var expectsNoBody: Bool {
        switch self {
        case .get, .head, .delete, .options, .trace, .connect: true
        case .post, .put, .patch, .other: false
        }
    }

    /// RFC 9110 §9.2.2: doing it twice is doing it once.
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .trace, .put, .delete: true
        case .post, .patch, .connect, .other: false
        }
    }
}

extension RequestHead {
    private static let eventStream = Array("text/event-stream".utf8)

    /// The client would take a stream of events.
    var acceptsEventStream: Bool {
        guard present.contains(.accept) else { return false }
        for field in fields where field.id == .accept {
            if section.list(field.valueRange, containsLowercased: Self.eventStream, ignoringParameters: true) {
                return true
            }
        }
        return false
    }

    /// A page asks that isn't one of `host`, as browsers write both.
    func isOfForeignPage(on host: @autoclosure () -> ByteBufferView) -> Bool {
        guard let range = value(of: .origin) else { return false }
        let (origin, host) = (view(of: range), host())
        return
            !(origin.suffix(host.count).elementsEqual(host)
            && origin.dropLast(host.count).suffix(3).elementsEqual("://".utf8))
    }

    /// A browser asks beforehand (Fetch standard, "CORS-preflight request").
    var isPreflight: Bool {
        method == .options && !framing.hasBody && present.contains(.origin)
            && present.contains(.accessControlRequestMethod)
    }
}

extension FieldSection {
    private static let webSocket = Array("websocket".utf8)

    fileprivate var namesWebSocket: Bool {
        guard present.contains(.upgrade), connection.upgrade else { return false }
        return fields.contains { $0.id == .upgrade && list($0.valueRange, containsLowercased: Self.webSocket) }
    }
}

extension RequestHead {
    /// RFC 6455 §4.1. No other protocol is switched to: h2c would carry requests past admission.
    var asksForWebSocket: Bool {
        method == .get && version == .http11 && !framing.hasBody && section.namesWebSocket
    }
}

extension ResponseHead {
    private static let eventStream = Array("text/event-stream".utf8)

    /// Of a 101: it is the protocol that was asked for.
    var switchesToWebSocket: Bool { section.namesWebSocket }

    /// Lasts as long as both sides like.
    var isEventStream: Bool {
        guard let value = value(of: .contentType) else { return false }
        return section.list(value, containsLowercased: Self.eventStream, ignoringParameters: true)
    }
}
