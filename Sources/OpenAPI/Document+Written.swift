// SPDX-License-Identifier: Apache-2.0

extension Document {
    /// The members of a document that are read, as OpenAPI 3.0 to 3.2 have them.
    struct Written: Decodable {
        var openapi: String
        var servers: [WrittenServer]?
        var paths: WrittenPaths

        private enum CodingKeys: String, CodingKey { case openapi, servers, paths }

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: CodingKeys.self)
            openapi = try members.decode(String.self, forKey: .openapi)
            servers = try members.decodeIfPresent([WrittenServer].self, forKey: .servers)
            // One of 3.1 may have webhooks alone.
            paths = try members.decodeIfPresent(WrittenPaths.self, forKey: .paths) ?? WrittenPaths()
        }
    }

    struct WrittenPaths: Decodable {
        var items: [(path: String, item: WrittenItem)] = []
        /// More than there may be operations; they aren't read.
        var areTooMany = false

        init() {}

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: AnyName.self)
            // Other members are extensions, and may be anything.
            let paths = members.allKeys.filter { $0.stringValue.hasPrefix("/") }
            areTooMany = paths.count > Document.mostOperations
            guard !areTooMany else { return }
            items = try paths.map { ($0.stringValue, try members.decode(WrittenItem.self, forKey: $0)) }
        }
    }

    struct WrittenItem: Decodable {
        private static let methods = ["delete", "get", "head", "options", "patch", "post", "put"]
        private static let others = ["query", "additionalOperations"]

        var hasReference: Bool
        var servers: [WrittenServer]?
        var operations: [(method: String, operation: WrittenOperation)]
        /// That are methods of OpenAPI, and none that a route can list. TRACE is refused everywhere and not among them.
        var otherMethods: [String]

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: AnyName.self)
            hasReference = members.contains("$ref")
            servers = try members.decodeIfPresent([WrittenServer].self, forKey: "servers")
            operations = try Self.methods.filter { members.contains(AnyName($0)) }.map {
                ($0.uppercased(), try members.decode(WrittenOperation.self, forKey: AnyName($0)))
            }
            otherMethods = Self.others.filter { members.contains(AnyName($0)) }
        }
    }

    struct WrittenOperation: Decodable {
        var servers: [WrittenServer]?
    }

    struct WrittenServer: Decodable {
        struct Variable: Decodable {
            var `default`: String?
        }

        var url: String
        var variables: [String: Variable]?

        /// The path that its URL begins every other with, without the slash at its end; nil where it can't be known, or
        /// is longer than any route's.
        func path(from target: String) -> String? {
            // Each operation has it once more.
            guard let url = withDefaults, url.utf8.count <= Document.longestPath else { return nil }
            let place = Substring(url).prefix { $0 != "?" && $0 != "#" }
            if let scheme = place.firstRange(of: "://") {
                return Self.trimmed(place[scheme.upperBound...].drop { $0 != "/" })
            }
            if place.hasPrefix("//") { return Self.trimmed(place.dropFirst(2).drop { $0 != "/" }) }
            if place.hasPrefix("/") { return Self.trimmed(place) }
            let folder = target.prefix { $0 != "?" }.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            return Self.trimmed(Substring(folder.joined(separator: "/") + "/" + place))
        }

        private var withDefaults: String? {
            var (rest, text) = (Substring(url), "")
            while let start = rest.firstIndex(of: "{") {
                guard let end = rest[start...].firstIndex(of: "}"),
                    let value = variables?[String(rest[rest.index(after: start)..<end])]?.default
                else { return nil }
                text += rest[..<start] + value
                guard text.utf8.count <= Document.longestPath else { return nil }
                rest = rest[rest.index(after: end)...]
            }
            return text + rest
        }

        /// Without dot segments and without a slash at the end: `/v1/` and `./v1` from the root are `/v1`.
        private static func trimmed(_ path: Substring) -> String {
            var segments: [Substring] = []
            for segment in path.split(separator: "/") where segment != "." {
                if segment == ".." { _ = segments.popLast() } else { segments.append(segment) }
            }
            return segments.map { "/" + $0 }.joined()
        }
    }

    /// Any member's name.
    struct AnyName: CodingKey, ExpressibleByStringLiteral {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ name: String) { stringValue = name }
        init(stringLiteral name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
