// SPDX-License-Identifier: Apache-2.0

import Octets

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What an OpenAPI 3 document says of paths, and nothing else of it.
///
/// 1. Depth and size are judged before anything is read, the number of operations after.
/// 2. Which of two equal members counts is open, and harmless: whatever is told asks for a key.
/// 3. `security`, `webhooks` and `x-…` aren't looked at.
package struct Document: Sendable, Equatable {
    package static let mostOctets = 4 << 20
    package static let mostOperations = 2000
    package static let deepest = 64

    /// A path with its server's prefix, in the document's own spelling.
    package struct Operation: Sendable, Equatable {
        package var path: String
        /// Upper case.
        package var method: String
    }

    /// By path and method.
    package let operations: [Operation]
    /// What can't be a route, in the words of a log.
    package let skipped: [String]

    /// - Parameter target: where it was read, which relative URLs of servers start from.
    package init(_ octets: [UInt8], readAt target: String) throws(DocumentFlaw) {
        guard octets.count <= Self.mostOctets else { throw .tooLarge }
        // In another coding than UTF-8, which JSON has, brackets and quotes are other octets, and one in two of them is 0.
        guard !octets.contains(0) else { throw .notJSON }
        guard octets.depthOfJSON <= Self.deepest else { throw .tooDeep }
        let read: Written
        do {
            read = try JSONDecoder().decode(Written.self, from: Data(octets))
        } catch let error as DecodingError {
            throw DocumentFlaw(error)
        } catch {
            throw .notJSON
        }
        guard read.openapi.hasPrefix("3.") else { throw .otherVersion }
        guard !read.paths.areTooMany else { throw .tooManyOperations }
        var operations: [Operation] = []
        var skipped: [String] = []
        for (path, item) in read.paths.items {
            if item.hasReference { skipped.append("\(path.told()): a path item elsewhere ($ref)") }
            for (method, operation) in item.operations {
                guard operations.count + skipped.count < Self.mostOperations else { throw .tooManyOperations }
                let server = (operation.servers ?? item.servers ?? read.servers)?.first
                guard let prefix = server.map({ $0.path(from: target) }) ?? "" else {
                    skipped.append(
                        "\(path.told(method)): a server's URL that is too long, or has a variable without a default")
                    continue
                }
                operations.append(Operation(path: prefix + path, method: method))
            }
            for method in item.otherMethods {
                skipped.append("\(path.told(method.uppercased())): a method that routes can't have")
            }
        }
        self.operations = operations.sorted { ($0.path, $0.method) < ($1.path, $1.method) }
        self.skipped = skipped.sorted()
    }
}

/// Why a document tells nothing.
package enum DocumentFlaw: Error, Sendable, Equatable, CustomStringConvertible {
    case tooLarge, tooDeep, notJSON, otherVersion, tooManyOperations
    /// Something in it isn't what OpenAPI has there.
    case unexpected(at: String)

    fileprivate init(_ error: DecodingError) {
        switch error {
        case .dataCorrupted: self = .notJSON
        case .keyNotFound(let key, _): self = key.stringValue == "openapi" ? .otherVersion : .unexpected(at: "root")
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            self = .unexpected(at: path.isEmpty ? "root" : path.cut(to: 128).printable)
        @unknown default: self = .notJSON
        }
    }

    package var description: String {
        switch self {
        case .tooLarge: "the document has more than \(Document.mostOctets) octets"
        case .tooDeep: "the document is nested more than \(Document.deepest) deep"
        case .notJSON: "the document is no JSON"
        case .otherVersion: "the document is none of OpenAPI 3: it lacks openapi: 3.x"
        case .tooManyOperations: "the document has more than \(Document.mostOperations) operations or paths"
        case .unexpected(let path): "the document has something else than OpenAPI has at \(path)"
        }
    }
}

extension [UInt8] {
    /// How deep brackets nest, outside of strings. Whether it is JSON at all is not judged.
    fileprivate var depthOfJSON: Int {
        var (depth, deepest, isInString, isEscaped) = (0, 0, false, false)
        for octet in self {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if octet == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if octet == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch octet {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                deepest = Swift.max(deepest, depth)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
        return deepest
    }
}

extension String {
    /// So many octets of it at most, as logs and pages show it: one character of a document may be as long as the document.
    func cut(to octets: Int) -> String { String(decoding: utf8.prefix(octets), as: UTF8.self) }
}
