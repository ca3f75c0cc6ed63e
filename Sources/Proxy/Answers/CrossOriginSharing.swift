// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Octets
import Settings

/// What browsers are told about pages of other origins, in place of what the handler says of it (`cors` in the configuration;
/// Fetch standard, "CORS protocol").
///
/// 1. A preflight is answered here, before any key is asked for: it carries none.
/// 2. Every response has the fields, refusals above all: a page can't read a 401 or a 429 without them.
/// 3. To an origin that isn't allowed nothing is said, and the browser keeps the response from the page.
struct CrossOriginSharing: Sendable {
    /// The handler's own statements. Access-Control-Expose-Headers is not among them: ours is added to its.
    static let replaced: FieldSet = [
        .accessControlAllowOrigin, .accessControlAllowCredentials, .accessControlAllowMethods,
        .accessControlAllowHeaders, .accessControlMaxAge,
    ]

    /// What a page needs to tell its user why, and how long to wait; without it, only the Fetch standard's safelist is seen.
    private static let exposed: StaticString = """
        Access-Control-Expose-Headers: X-Correlation-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, \
        RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, Mcp-Session-Id\r

        """

    /// Lower case; nil: any.
    private let origins: [[UInt8]]?
    private let allowsCredentials: Bool
    private let maxAgeSeconds: Int64

    /// Of what is public by its nature, whatever is configured.
    static let forEveryPage = CrossOriginSharing(
        Settings.CORS(allowOrigins: [.any], allowsCredentials: false, maxAge: .seconds(600)))

    init(_ settings: Settings.CORS) {
        var origins: [[UInt8]]? = []
        for origin in settings.allowOrigins {
            switch origin {
            case .any: origins = nil
            case .exactly(let name): origins?.append(Array(name.utf8))
            }
        }
        self.origins = origins
        allowsCredentials = settings.allowsCredentials
        maxAgeSeconds = settings.maxAge.components.seconds
    }

    /// The value of Origin, if it is one that is allowed by name.
    func allowedOrigin(of head: RequestHead) -> Range<Int>? {
        guard let origins, head.count(of: .origin) == 1, let value = head.value(of: .origin) else { return nil }
        return origins.contains { head.section.range(value, equalsLowercased: $0) } ? value : nil
    }

    /// A cache must not give one page what was said to another, or to no page at all.
    private static let variation = Variation(["Origin"])

    /// - Parameters:
    ///   - origin: as ``allowedOrigin(of:)`` found it, empty where it found none.
    ///   - answer: of the handler, which may have said by itself that it varies by Origin.
    func writeFields(for origin: ByteBufferView, besides answer: ResponseHead? = nil, to output: inout OutputRawSpan) {
        if writeGrant(for: origin, to: &output) { output.append(Self.exposed) }
        guard origins != nil else { return }
        if let answer {
            Self.variation.write(besides: answer, to: &output)
        } else {
            Self.variation.write(to: &output)
        }
    }

    /// The fields of an answer to a preflight.
    ///
    /// - Parameter methods: those of the path, separated by commas.
    func writePreflightFields(
        for origin: ByteBufferView, methods: [UInt8], head: RequestHead, to output: inout OutputRawSpan
    ) {
        if writeGrant(for: origin, to: &output) {
            output.appendField("Access-Control-Allow-Methods", methods)
            // Those asked for: which of them mean anything is the handler's business.
            for field in head.fields where field.id == .accessControlRequestHeaders && !field.valueRange.isEmpty {
                output.appendField("Access-Control-Allow-Headers", field.valueRange, of: head.section)
            }
            output.appendField("Access-Control-Max-Age", UInt64(maxAgeSeconds))
        }
        output.append(
            "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n")
    }

    /// - Returns: whether the page may read the response.
    private func writeGrant(for origin: ByteBufferView, to output: inout OutputRawSpan) -> Bool {
        guard origins != nil else {
            output.append("Access-Control-Allow-Origin: *\r\n")
            return true
        }
        guard !origin.isEmpty else { return false }
        output.appendField("Access-Control-Allow-Origin", origin)
        if allowsCredentials { output.append("Access-Control-Allow-Credentials: true\r\n") }
        return true
    }
}
