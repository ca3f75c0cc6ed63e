// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Settings
import Testing

@testable import Proxy

/// Heads as the parser makes them.
enum RoutingHeads {
    /// - Parameter target: as the request line has it.
    static func head(_ target: String, method: String = "GET", fields: [String] = []) throws -> RequestHead {
        let host = target.hasPrefix("http") ? "example.com" : "localhost"
        return try head(["\(method) \(target) HTTP/1.1", "Host: \(method == "CONNECT" ? target : host)"] + fields)
    }

    static func head(_ lines: [String]) throws -> RequestHead {
        var buffer = ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n")
        var head = RequestHead()
        var parser = RequestHeadParser()
        let isComplete = try parser.parse(&buffer, into: &head)
        try #require(isComplete)
        return head
    }
}

extension RouteTable {
    /// From the request line to the route.
    func match(_ target: String, method: String = "GET", isPreflight: Bool = false) throws -> Outcome {
        let head = try RoutingHeads.head(target, method: method)
        switch self.target(of: head) {
        case .refused(let flaw): return .refused(flaw)
        case .target(let target): return Outcome(match(target, of: head, isPreflight: isPreflight))
        }
    }

    enum Outcome: Equatable {
        /// As if nobody were careless.
        var strict: Outcome { if case .both(let index, _) = self { .route(index) } else { self } }

        case refused(PathFlaw)
        case route(Int)
        /// The others are those of a careless reading.
        case both(Int, [Int])
        case anything, wellKnown, unknown
        case notAllowed(String)

        init(_ match: Match) {
            switch match {
            case .route(let index, let loose): self = loose.isEmpty ? .route(index) : .both(index, loose)
            case .anything: self = .anything
            case .wellKnown: self = .wellKnown
            case .unknown: self = .unknown
            case .methodNotAllowed(let allow, _): self = .notAllowed(String(decoding: allow, as: UTF8.self))
            }
        }
    }
}
