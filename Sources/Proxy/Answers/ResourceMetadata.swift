// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Octets
import Settings

/// Where clients learn who issues tokens for a resource (RFC 9728, "OAuth 2.0 Protected Resource Metadata").
struct ResourceMetadata: Sendable {
    private static let wellKnown = "/.well-known/oauth-protected-resource"

    static let methods = Array("GET, HEAD".utf8)

    /// The document's URL, as challenges name it.
    let location: [UInt8]
    let document: ByteBuffer
    /// Where it is served: with the resource's own path behind, as clients build it (§3.1), and without, as some do.
    private let paths: [[UInt8]]

    init(_ settings: Settings.MCP.ResourceMetadata) {
        self.init(
            resource: settings.resource, authorizationServers: settings.authorizationServers, scopes: settings.scopes)
    }

    /// - Parameter resource: `scheme://authority[/path]`.
    init(resource: String, authorizationServers: [String], scopes: [String]) {
        let rest = resource.firstRange(of: "://").map { resource[$0.upperBound...] } ?? resource[...]
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        let path = rest[slash...] == "/" ? "" : String(rest[slash...])
        location = Array("\(resource[..<slash])\(Self.wellKnown)\(path)".utf8)
        paths = [Self.wellKnown + path, Self.wellKnown].map { Array($0.utf8) }

        var document = ByteBuffer()
        document.writeStaticString("{\"resource\":")
        document.writeJSONString(resource)
        Self.write("authorization_servers", authorizationServers, into: &document)
        if !scopes.isEmpty { Self.write("scopes_supported", scopes, into: &document) }
        document.writeStaticString(",\"bearer_methods_supported\":[\"header\"]}")
        self.document = document
    }

    func isServed(at path: some Collection<UInt8>) -> Bool {
        paths.contains { path.elementsEqual($0) }
    }

    private static func write(_ name: String, _ values: [String], into document: inout ByteBuffer) {
        document.writeString(",\"\(name)\":[")
        for (position, value) in values.enumerated() {
            if position > 0 { document.writeStaticString(",") }
            document.writeJSONString(value)
        }
        document.writeStaticString("]")
    }
}
