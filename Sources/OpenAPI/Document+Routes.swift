// SPDX-License-Identifier: Apache-2.0

import Octets
package import Settings

extension String {
    /// A path of a document as people are told of it, who may be at a terminal.
    func told(_ method: String? = nil) -> String {
        (method.map { "\($0) " } ?? "") + cut(to: 200).printable
    }
}

extension Document {
    /// No route has a longer one.
    static let longestPath = 1024

    /// The routes of its operations, one a path with all methods of the path, each of which asks for a key.
    ///
    /// - Parameters:
    ///   - rest: parameters that take what is left of a path, where they are its last segment.
    ///   - left: told what can't be a route.
    package func routes(rest: [String], leavingOut left: (String) -> Void = { _ in }) -> [Settings.Route] {
        var routes: [Settings.Route] = []
        var indices: [String: Int] = [:]
        for operation in operations {
            // None is longer; and names that are told apart take their time.
            let isShort = operation.path.utf8.count <= Self.longestPath
            let path = isShort ? Self.path(operation.path, rest: rest) : operation.path
            guard isShort, let shape = Settings.Route.shape(ofPath: path) else {
                left("\(operation.path.told(operation.method)): a path that no route can have")
                continue
            }
            if let index = indices[shape] {
                if !routes[index].methods.contains(operation.method) { routes[index].methods.append(operation.method) }
            } else {
                indices[shape] = routes.count
                routes.append(Settings.Route(path: path, methods: [operation.method]))
            }
        }
        return routes.map { route in
            var route = route
            route.methods.sort()
            return route
        }
    }

    /// As a route lists it. A parameter that fills a part of its segment takes the whole segment: what that opens still asks
    /// for a key, and the handler judges the rest.
    private static func path(_ written: String, rest: [String]) -> String {
        var names: Set<String> = []
        let segments = written.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let read = segments.enumerated().map { index, segment in
            guard segment.contains("{") else { return literal(segment) }
            let inner = segment.dropFirst().dropLast()
            let isWhole = segment.first == "{" && segment.last == "}" && !inner.contains { "{}".contains($0) }
            let isRest = isWhole && index == segments.count - 1 && rest.contains(String(inner))
            return "{\(name(isWhole ? inner : segment, among: &names))\(isRest ? "*" : "")}"
        }
        return "/" + read.joined(separator: "/")
    }

    /// A parameter's name of letters, digits and `_`, as routes have it.
    private static func name(_ written: Substring, among names: inout Set<String>) -> String {
        let octets = written.utf8.map { $0.isLetter || $0.isDigit ? $0 : UInt8(ascii: "_") }.prefix(48)
        let plain = String(decoding: octets, as: UTF8.self)
        let base = plain.utf8.first?.isDigit == false ? plain : "_" + plain
        var (name, number) = (base, 2)
        while !names.insert(name).inserted {
            name = "\(base)_\(number)"
            number += 1
        }
        return name
    }

    /// In the one spelling that requests are compared in, where there is one.
    private static func literal(_ segment: Substring) -> String {
        var octets: [UInt8] = []
        for octet in segment.utf8 {
            if octet == UInt8(ascii: "%") || octet.isUnreserved || "!$&'()*+,=:@".utf8.contains(octet) {
                octets.append(octet)
            } else {
                octets.appendPercentEscape(of: octet)
            }
        }
        return String(decoding: octets, as: UTF8.self)
    }
}
