// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Proxy
import Settings

/// No spelling of a protected path is served as something else.
///
/// Beside our routes stands the most careless handler there could be: it decodes escapes again and again, takes backslashes
/// for slashes, drops parameters and doubled slashes, resolves dot segments and ignores the case. Where it would serve what
/// is protected, we must have asked for a key.
enum TargetSubject {
    private static let routes: [Settings.Route] = [
        .init(path: "/secret", methods: ["GET"]), .init(path: "/secret/{id}"), .init(path: "/open", isPublic: true),
        .init(path: "/open/{rest*}", isPublic: true), .init(path: "/{name}", isPublic: true),
        .init(path: "/health", isPublic: true, isThrottled: false), .init(path: "/mcp", isMCP: true),
    ]
    private static let tables = [RouteTable(routes), RouteTable(routes, mergesSlashes: true)]

    static func check(_ octets: [UInt8]) {
        var input = ByteBuffer(string: "GET ")
        input.writeBytes(octets)
        input.writeString(" HTTP/1.1\r\nHost: h\r\n\r\n")
        var parser = RequestHeadParser()
        var head = RequestHead()
        do throws(HeadError) {
            guard try parser.parse(&input, into: &head) else { return }
        } catch {
            return
        }
        for table in tables {
            guard case .target(let target) = table.target(of: head) else { continue }
            guard case .route(let index, let loose) = table.match(target, of: head), routes[index].isPublic,
                loose.allSatisfy({ routes[$0].isPublic })
            else { continue }
            let path = Array(head.section.view(of: target.raw))
            precondition(!isProtected(CarelessPath.read(path)), "A protected path was served to anybody")
        }
    }

    private static func isProtected(_ path: String) -> Bool {
        let segments = path.split(separator: "/", omittingEmptySubsequences: true)
        return switch segments.first {
        case "secret": segments.count <= 2
        case "mcp": true
        default: false
        }
    }
}

/// A path as a handler reads it that means well and thinks little.
enum CarelessPath {
    static func read(_ octets: [UInt8]) -> String {
        var octets = octets
        // Twice: some frameworks decode what their server has decoded.
        for _ in 0..<2 { octets = decoded(octets) }
        let text = latin1(octets).replacing("\\", with: "/").lowercased()
        var segments: [Substring] = []
        for segment in text.split(separator: "/", omittingEmptySubsequences: true) {
            let name = segment.prefix { $0 != ";" && $0 != "\u{0}" }
            switch name {
            case ".", "": continue
            case "..": _ = segments.popLast()
            default: segments.append(name)
            }
        }
        return "/" + segments.joined(separator: "/")
    }

    private static func decoded(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var position = 0
        while position < octets.count {
            if octets[position] == UInt8(ascii: "%"), position + 2 < octets.count,
                let value = UInt8(latin1(octets[(position + 1)...(position + 2)]), radix: 16)
            {
                result.append(value)
                position += 3
            } else {
                result.append(octets[position])
                position += 1
            }
        }
        return result
    }
}
