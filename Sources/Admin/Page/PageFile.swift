// SPDX-License-Identifier: Apache-2.0

import Digests
import NIOCore
import NIOHTTP1

/// A file of the page, which is in the program: nothing has to be installed beside it, and none can differ from it.
enum PageFile: String, CaseIterable {
    case html = "/"
    case css = "/page.css"
    case js = "/page.js"

    /// Nothing but what is served here, nothing inline, and no frame around it.
    private static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static let contents: [PageFile: (octets: ByteBuffer, tag: String)] = Dictionary(
        uniqueKeysWithValues: allCases.map { file in
            let octets = file.resource
            let digest = SHA256Digest(of: octets).hexadecimal.prefix(16)
            return (file, (ByteBuffer(bytes: octets), "\"\(String(decoding: digest, as: UTF8.self))\""))
        })

    private var resource: [UInt8] {
        switch self {
        case .html: PackageResources.page_html
        case .css: PackageResources.page_css
        case .js: PackageResources.page_js
        }
    }

    private var type: String {
        switch self {
        case .html: "text/html; charset=utf-8"
        case .css: "text/css; charset=utf-8"
        case .js: "text/javascript; charset=utf-8"
        }
    }

    /// Whoever has the file is told that it has (RFC 9110 §13.1.2): another version of the program has another one.
    func answer(to head: HTTPRequestHead) -> AdminPages.Answer {
        guard let (octets, tag) = Self.contents[self] else { preconditionFailure("Each file has contents") }
        let known = ["*", tag, "W/\(tag)"]
        let isKnown = head.headers[canonicalForm: "If-None-Match"].contains { known.contains(String($0)) }
        var answer = AdminPages.Answer(
            status: isKnown ? .notModified : .ok, type: type, body: isKnown ? ByteBuffer() : octets)
        answer.cacheControl = "no-cache"
        answer.others = HTTPHeaders([
            ("ETag", tag), ("Content-Security-Policy", Self.policy), ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Resource-Policy", "same-origin"),
        ])
        return answer
    }
}
