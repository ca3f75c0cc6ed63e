// SPDX-License-Identifier: Apache-2.0

import HTTP1
import Telemetry

/// By what requests are told apart, packed into the key of a series.
enum RequestLabels {
    /// A combination beyond the bound.
    static let other = UInt64.max

    private static let otherMethod = UInt64(Method.other.rawValue)
    /// No answer was begun.
    private static let noStatus: UInt64 = 0
    private static let otherStatus: UInt64 = 1

    /// - Parameters:
    ///   - route: as ``LabelNames`` number it.
    ///   - method: nil where the head made no sense.
    static func key(route: Int, _ method: Method?, status: Int?) -> UInt64 {
        let method = method.map { UInt64($0.rawValue) } ?? otherMethod
        let status = status.map { isAssigned($0) ? UInt64($0) : otherStatus } ?? noStatus
        return UInt64(route) << 16 | method << 10 | status
    }

    /// A refusal of what was asked, which whoever asks can have of any route and method.
    @Sendable static func isMinor(_ key: UInt64) -> Bool { 400..<500 ~= key & 0x3FF || key & 0x3FF == otherStatus }

    static func labels(of key: UInt64) -> [MetricFamily.Label] {
        let (method, route, status) = texts(of: key)
        return [
            MetricFamily.Label("http_request_method", method), MetricFamily.Label("http_route", route),
            MetricFamily.Label("http_response_status_code", status),
        ].filter { !$0.value.isEmpty }
    }

    private static func texts(of key: UInt64) -> (method: String, route: String, status: String) {
        let other = LabelNames.otherText
        guard key != Self.other else { return (other, other, other) }
        let method = Method(rawValue: UInt8(key >> 10 & 0x3F))?.name?.description ?? other
        let route = LabelNames.ofProcess.text(of: Int(key >> 16))
        switch key & 0x3FF {
        case noStatus: return (method, route, "")
        case otherStatus: return (method, route, other)
        case let status: return (method, route, "\(status)")
        }
    }

    /// In IANA's registry of HTTP status codes, those that it calls unused apart.
    static func isAssigned(_ status: Int) -> Bool {
        switch status {
        case 100...104, 200...208, 226, 300...305, 307...308, 400...417, 421...426, 428, 429, 431, 451, 500...508, 510,
            511:
            true
        default: false
        }
    }
}
