// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

// A handler that writes URLs names itself in them: by the Host it was sent, under the scheme that the client is said to use,
// or by the address it listens on. The client knows us by another name, and is given that.
extension ResponseForwarding {
    /// Fields of answers that hold one URL.
    static let links: FieldSet = [.location, .contentLocation, .refresh]

    private static let schemes = [(prefix: Array("https://".utf8), isSecure: true), (Array("http://".utf8), false)]

    /// The front of a URL up to its path.
    struct Origin {
        var range: Range<Int>
        var scheme: Scheme
    }

    enum Scheme { case http, https, inherited }

    func writeMendedLinks(into buffer: inout ByteBuffer) {
        for field in head.fields where !head.section.isNominated(field) {
            guard let origin = handlersOrigin(in: field) else { continue }
            buffer.writeRange(field.nameRange, of: head.section)
            buffer.writeStaticString(": ")
            buffer.writeRange(field.valueRange.lowerBound..<origin.range.lowerBound, of: head.section)
            let rest = origin.range.upperBound..<field.valueRange.upperBound
            writeClientsOrigin(origin.scheme, before: rest, into: &buffer)
            buffer.writeRange(rest, of: head.section)
            buffer.writeFieldEnd()
        }
    }

    private func writeClientsOrigin(_ scheme: Scheme, before rest: Range<Int>, into buffer: inout ByteBuffer) {
        guard !record.publicHost.isEmpty else {
            // A client that gave no name is left with the path.
            if head.view(of: rest).first != UInt8(ascii: "/") { buffer.writeStaticString("/") }
            return
        }
        switch scheme {
        // Never down from what the handler asks for: it may be sending the client to HTTPS.
        case .https: buffer.writeStaticString("https:")
        case .http: buffer.writeStaticString(record.isSecure ? "https:" : "http:")
        case .inherited: break
        }
        buffer.writeStaticString("//")
        buffer.writeBytes(record.publicHost)
    }

    /// Where a field names the handler; nil where it doesn't.
    func handlersOrigin(in field: Field) -> Origin? {
        guard Self.links.contains(field.id),
            let url = field.id == .refresh ? urlOfRefresh(field.valueRange) : field.valueRange
        else { return nil }
        let (scheme, start) = scheme(of: url)
        guard let start else { return nil }
        let authority = head.view(of: start..<url.upperBound).prefix { !Self.endsAuthority($0) }
        guard isHandlers(authority, under: scheme) else { return nil }
        return Origin(range: url.lowerBound..<(start + authority.count), scheme: scheme)
    }

    /// And where the authority begins, if there is one.
    private func scheme(of url: Range<Int>) -> (Scheme, Int?) {
        for (prefix, isSecure) in Self.schemes where head.section.range(url, startsWithLowercased: prefix) {
            return (isSecure ? .https : .http, url.lowerBound + prefix.count)
        }
        let isRelative = head.view(of: url).starts(with: "//".utf8)
        return (.inherited, isRelative ? url.lowerBound + 2 : nil)
    }

    private func isHandlers(_ authority: ByteBufferView, under scheme: Scheme) -> Bool {
        authority.isSameAuthority(as: record.sentHost, under: scheme)
            || snapshot.upstream.ownName.map { authority.isSameAuthority(as: $0, under: scheme) } ?? false
    }

    private static func endsAuthority(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "/"), UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "\\"), UInt8(ascii: "\""),
            UInt8(ascii: "'"), UInt8(ascii: " "), UInt8(ascii: "\t"):
            true
        default: false
        }
    }

    /// Seconds, a comma or semicolon, perhaps `url=`, perhaps a quote (HTML standard, "shared declarative refresh steps").
    private func urlOfRefresh(_ value: Range<Int>) -> Range<Int>? {
        let view = head.view(of: value)
        var rest = view.drop { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 || $0 == UInt8(ascii: ".") }.withoutBlanks
        guard rest.first == UInt8(ascii: ";") || rest.first == UInt8(ascii: ",") else { return nil }
        rest = rest.dropFirst().withoutBlanks
        if rest.prefix(3).lazy.map({ $0 | 0x20 }).elementsEqual("url".utf8) {
            let behind = rest.dropFirst(3).withoutBlanks
            if behind.first == UInt8(ascii: "=") { rest = behind.dropFirst().withoutBlanks }
        }
        if rest.first == UInt8(ascii: "\"") || rest.first == UInt8(ascii: "'") { rest = rest.dropFirst() }
        return (value.upperBound - rest.count)..<value.upperBound
    }
}

extension ByteBufferView {
    fileprivate var withoutBlanks: ByteBufferView {
        drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    }
}

extension BidirectionalCollection<UInt8> {
    /// In any case, and with or without the port that the scheme implies.
    func isSameAuthority(
        as other: some BidirectionalCollection<UInt8>, under scheme: ResponseForwarding.Scheme
    ) -> Bool {
        let (one, other) = (withoutPort(of: scheme), other.withoutPort(of: scheme))
        return !one.isEmpty && one.isSameText(as: other)
    }

    private func withoutPort(of scheme: ResponseForwarding.Scheme) -> SubSequence {
        let port =
            switch scheme {
            case .http: ":80"
            case .https: ":443"
            case .inherited: ":"
            }
        for port in [port, ":"] where suffix(port.utf8.count).elementsEqual(port.utf8) {
            return dropLast(port.utf8.count)
        }
        return self[...]
    }
}
