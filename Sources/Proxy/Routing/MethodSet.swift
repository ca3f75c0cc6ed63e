// SPDX-License-Identifier: Apache-2.0

import HTTP1

/// The methods that a route takes: one bit for each that everybody knows, the tokens of others.
struct MethodSet: Sendable, Equatable {
    private var known: UInt16 = 0
    private var others: Set<String> = []
    private var otherTokens: [[UInt8]] = []

    /// What a route without `methods` takes, as far as Allow can tell: it takes every method but TRACE and CONNECT.
    static let common = MethodSet(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])

    /// Of documents below `/.well-known` that no route lists: whoever looks for them has no key, and changes nothing.
    static let wellKnown = MethodSet(["GET", "OPTIONS"])

    init() {}

    /// Where GET is, HEAD is too (RFC 9110 §9.3.2).
    init(_ names: [String]) {
        for name in names {
            if let method = Method.allCases.first(where: { $0.name?.description == name }) {
                known |= Self.bit(method)
                if method == .get { known |= Self.bit(.head) }
            } else {
                others.insert(name)
            }
        }
        otherTokens = others.sorted().map { Array($0.utf8) }
    }

    /// Whether it has the method of that head.
    func contains(methodOf head: RequestHead) -> Bool {
        guard head.method == .other else { return known & Self.bit(head.method) != 0 }
        return otherTokens.contains { head.section.range(head.methodRange, equals: $0) }
    }

    mutating func formUnion(_ other: MethodSet) {
        known |= other.known
        others.formUnion(other.others)
    }

    /// The value of Allow: sorted.
    var allow: [UInt8] {
        let names = Method.allCases.filter { known & Self.bit($0) != 0 }.compactMap { $0.name?.description } + others
        return Array(names.sorted().joined(separator: ", ").utf8)
    }

    private static func bit(_ method: Method) -> UInt16 {
        1 << UInt16(method.rawValue)
    }
}
