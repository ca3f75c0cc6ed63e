// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import Octets

// A handler that writes URLs names itself in them: by the Host it was sent, under the scheme that the client is said to use,
// or by the address it listens on. The client knows us by another name, and is given that.
extension ResponseForwarding {
    /// Fields of answers that hold one URL.
    static let links: FieldSet = [.location, .contentLocation, .refresh]

    /// The front of a URL up to its path.
    struct Origin {
        var range: Range<Int>
        var scheme: URLScheme
    }

    func writeMendedLinks(of head: ResponseHead, by snapshot: Snapshot, to output: inout OutputRawSpan) {
        for field in head.fields where !head.section.isNominated(field) {
            guard let origin = handlersOrigin(in: field, of: head, by: snapshot) else { continue }
            output.append(field.nameRange, of: head.section)
            output.append(": ")
            output.append(field.valueRange.lowerBound..<origin.range.lowerBound, of: head.section)
            let rest = origin.range.upperBound..<field.valueRange.upperBound
            writeClientsOrigin(origin.scheme, before: head.view(of: rest), to: &output)
            output.append(rest, of: head.section)
            output.appendFieldEnd()
        }
    }

    private func writeClientsOrigin(_ scheme: URLScheme, before rest: ByteBufferView, to output: inout OutputRawSpan) {
        guard !record.publicHost.isEmpty else {
            // A client that gave no name is left with the path.
            output.append(beginningOfPath(before: rest))
            return
        }
        switch scheme {
        // Never down from what the handler asks for by another name than its address: it may be sending the client to HTTPS.
        case .https: output.append("https:")
        case .http: output.append(record.isSecure ? "https:" : "http:")
        case .inherited: break
        }
        output.append("//")
        output.append(record.publicHost)
    }

    /// What makes a reference of its own of a path that stood behind a host. Two slashes would begin another's host; browsers take
    /// a backslash for one, and read over tabs.
    private func beginningOfPath(before rest: ByteBufferView) -> StaticString {
        let isRooted = rest.first == UInt8(ascii: "/")
        switch rest.dropFirst(isRooted ? 1 : 0).first(where: { $0 != UInt8(ascii: "\t") }) {
        case UInt8(ascii: "/"), UInt8(ascii: "\\"): return "/."
        default: return isRooted ? "" : "/"
        }
    }

    /// Where a field names the handler; nil where it doesn't.
    func handlersOrigin(in field: Field, of head: ResponseHead, by snapshot: Snapshot) -> Origin? {
        guard Self.links.contains(field.id),
            let url = field.id == .refresh ? urlOfRefresh(field.valueRange, of: head) : field.valueRange
        else { return nil }
        let octets = head.view(of: url)
        guard let (scheme, length) = URLScheme.beginning(octets) else { return nil }
        let authority = octets.dropFirst(length).prefix { !Self.endsAuthority($0) }
        let names = HandlerNames(own: snapshot.upstream.ownName, sent: record.sentHost)
        guard names.include(authority, under: scheme) else { return nil }
        // By its own address it means the place where it is, which it is reached at by TLS whatever its client speaks.
        let isPlace = scheme == .https && snapshot.upstream.security != nil && names.isOwn(authority, under: scheme)
        return Origin(
            range: url.lowerBound..<(url.lowerBound + length + authority.count), scheme: isPlace ? .http : scheme)
    }

    private static func endsAuthority(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\\"), UInt8(ascii: "\""),
            UInt8(ascii: "'"), UInt8(ascii: " "), UInt8(ascii: "\t"):
            true
        default: false
        }
    }

    /// Seconds, a comma or semicolon, perhaps `url=`, perhaps a quote (HTML standard, "shared declarative refresh steps"), and
    /// blanks, which a URL may begin with.
    private func urlOfRefresh(_ value: Range<Int>, of head: ResponseHead) -> Range<Int>? {
        let view = head.view(of: value)
        var rest = view.drop { $0.isDigit || $0 == UInt8(ascii: ".") }.withoutBlanks
        guard rest.first == UInt8(ascii: ";") || rest.first == UInt8(ascii: ",") else { return nil }
        rest = rest.dropFirst().withoutBlanks
        if rest.prefix(3).lazy.map({ $0 | 0x20 }).elementsEqual("url".utf8) {
            let behind = rest.dropFirst(3).withoutBlanks
            if behind.first == UInt8(ascii: "=") { rest = behind.dropFirst().withoutBlanks }
        }
        if rest.first == UInt8(ascii: "\"") || rest.first == UInt8(ascii: "'") {
            rest = rest.dropFirst().withoutBlanks
        }
        return (value.upperBound - rest.count)..<value.upperBound
    }
}

extension ByteBufferView {
    fileprivate var withoutBlanks: ByteBufferView {
        drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }
}
