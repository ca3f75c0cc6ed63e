// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import Limits
import NIOCore
import Octets

/// Whose word about the client's address is taken, and the one field they say it in.
struct TrustedProxies: Sendable {
    /// Why the configuration doesn't do.
    enum Flaw: Error, Equatable, CustomStringConvertible {
        case block(String, AddressBlock.Flaw)
        case fieldName(String)

        var description: String {
            switch self {
            case .block(let text, let flaw): "\(text): \(flaw)"
            case .fieldName(let text): "\(text) is no field name"
            }
        }
    }

    let field: FieldName
    /// As `client_address` writes it.
    let fieldName: String
    private let blocks: [AddressBlock]
    /// Whoever can open the socket's path was let in by its mode.
    private let includesUnix: Bool

    /// - Parameter entries: blocks in CIDR notation, and `unix`.
    init(_ entries: [String], field name: String) throws(Flaw) {
        guard let field = FieldName(name) else { throw .fieldName(name) }
        self.field = field
        fieldName = name
        includesUnix = entries.contains("unix")
        var blocks: [AddressBlock] = []
        for entry in entries where entry != "unix" {
            do {
                blocks.append(try AddressBlock(parsing: entry))
            } catch {
                throw .block(entry, error)
            }
        }
        self.blocks = blocks
    }

    func trusts(_ origin: ClientAddress.Origin) -> Bool {
        switch origin {
        case .ip(let address): trusts(address)
        case .unix: includesUnix
        case .unknown: false
        }
    }

    func trusts(_ address: IPAddress) -> Bool {
        for block in blocks where block.contains(address) { return true }
        return false
    }

    /// Whether the field may be there at all. It isn't in most requests.
    func mayBeNamed(in head: borrowing RequestHead) -> Bool {
        field.id == .other || head.present.contains(field.id)
    }

    /// Whether the field is the configured one, in any spelling that a CGI or WSGI handler reads alike: from a peer that
    /// isn't trusted it is removed.
    func isClientAddressField(_ candidate: Field, of head: RequestHead) -> Bool {
        head.section.has(candidate, name: field, folding: true)
    }
}

/// The other end of a connection: what can be known of it, worked out when it is accepted, and again when a configuration may
/// see it in another way.
final class Peer: Sendable {
    /// The client, unless a trusted peer names another.
    let client: ClientAddress
    /// It may set the client address field.
    let isTrusted: Bool
    /// What `X-Forwarded-For` gets appended; nil for a Unix peer, which has no address.
    let forwardedText: [UInt8]?
    private let standing: Standing
    private let prefix: AddressPrefix

    /// Who speaks on the connection.
    private enum Standing: Sendable {
        /// The client that is known.
        case itself
        /// A proxy that speaks for itself, to see whether we are well.
        case checking
        /// A proxy, which is to say first for whom it speaks.
        case awaited
        /// Somebody behind a proxy that has no address for it. The proxy's stands in; but what a proxy would be believed, whoever
        /// is behind it is not.
        case unnamed
    }

    /// - Parameter prefix: by which clients are told apart.
    convenience init(
        _ address: SocketAddress?, trusted: TrustedProxies, countedBy prefix: AddressPrefix = AddressPrefix()
    ) {
        self.init(ClientAddress.Origin(address), .itself, trusted: trusted, countedBy: prefix)
    }

    private init(
        _ origin: ClientAddress.Origin, _ standing: Standing, trusted: TrustedProxies, countedBy prefix: AddressPrefix
    ) {
        self.standing = standing
        self.prefix = prefix
        client = ClientAddress(origin, countedBy: prefix)
        isTrusted = standing != .unnamed && trusted.trusts(origin)
        forwardedText = if case .ip = origin { Array(client.text.utf8) } else { nil }
    }

    /// Whose share of connections it takes. Proxies and whoever reaches a Unix socket speak for many.
    var ledgerAddress: String? {
        switch client.origin {
        case .ip: isTrusted ? nil : client.subject
        case .unix, .unknown: nil
        }
    }

    /// The same one, as another configuration sees it.
    func seen(by snapshot: Snapshot) -> Peer {
        Peer(client.origin, standing, snapshot)
    }

    private convenience init(_ origin: ClientAddress.Origin, _ standing: Standing, _ snapshot: Snapshot) {
        self.init(origin, standing, trusted: snapshot.trustedProxies, countedBy: snapshot.admission.addressPrefix)
    }

    // MARK: The PROXY protocol

    /// It may name a client in a field, and is expected to.
    var speaksForOthers: Bool { isTrusted && standing == .itself }

    /// Its header is still to come.
    var isAwaited: Bool { standing == .awaited }

    /// A proxy that will say for whom it speaks.
    func awaited(by snapshot: Snapshot) -> Peer {
        Peer(client.origin, .awaited, snapshot)
    }

    /// For whom the proxy speaks.
    func introduced(as source: ProxyHeader.Source, by snapshot: Snapshot) -> Peer {
        switch source {
        case .proxy: Peer(client.origin, .checking, snapshot)
        case .client(let address): Peer(.ip(address), .itself, snapshot)
        case .unnamed: Peer(client.origin, .unnamed, snapshot)
        }
    }

    /// Who sent a request, as a trusted peer names them: of the hops that the configured field names, read from the right over
    /// all its lines, the first that isn't trusted. The walk stops before one that is no address; if none is untrusted, the
    /// last hop reached it is. Nil where nobody is named, or not by one who may.
    func namedClient(of head: RequestHead, trusted: TrustedProxies) -> ClientAddress? {
        guard isTrusted, trusted.mayBeNamed(in: head) else { return nil }
        let name = trusted.field
        let bytes = head.bytes
        let octets = bytes.readableBytesUInt8Span
        var reached: IPAddress?
        walk: for field in head.fields.reversed() where head.section.has(field, name: name) {
            var hops = HopsFromRight(field.valueRange)
            while let hop = hops.next(in: octets) {
                guard let address = IPAddress(hop: octets.extracting(hop)) else { break walk }
                reached = address
                guard trusted.trusts(address) else { break walk }
            }
        }
        return reached.map { ClientAddress(.ip($0), countedBy: prefix) }
    }
}

extension ClientAddress.Origin {
    fileprivate init(_ address: SocketAddress?) {
        switch address {
        case .v4, .v6: self = address?.ipAddress.flatMap { IPAddress($0) }.map { .ip($0) } ?? .unknown
        case .unixDomainSocket: self = .unix
        case nil: self = .unknown
        }
    }
}

/// The elements of a comma separated list, last first, blanks trimmed and empty ones left out (RFC 9110 §5.6.1).
private struct HopsFromRight {
    private let start: Int
    private var end: Int

    init(_ range: Range<Int>) {
        start = range.lowerBound
        end = range.upperBound
    }

    mutating func next(in octets: Span<UInt8>) -> Range<Int>? {
        while end > start {
            var upper = end
            var comma = end - 1
            while comma >= start, octets[comma] != UInt8(ascii: ",") { comma -= 1 }
            end = comma
            var lower = comma + 1
            while lower < upper, Self.isBlank(octets[lower]) { lower += 1 }
            while upper > lower, Self.isBlank(octets[upper - 1]) { upper -= 1 }
            if lower < upper { return lower..<upper }
        }
        return nil
    }

    private static func isBlank(_ octet: UInt8) -> Bool {
        octet == UInt8(ascii: " ") || octet == UInt8(ascii: "\t")
    }
}

extension IPAddress {
    /// A hop, perhaps with a port that is ignored: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
    fileprivate init?(hop: Span<UInt8>) {
        guard hop[0] == UInt8(ascii: "[") else {
            self.init(hop.extracting(0..<Self.endOfV4(hop)))
            return
        }
        var end = 1
        while end < hop.count, hop[end] != UInt8(ascii: "]") { end += 1 }
        guard end < hop.count, end + 1 == hop.count || Self.isPort(hop.extracting((end + 1)..<hop.count)) else {
            return nil
        }
        self.init(hop.extracting(1..<end))
        guard family == .v6 || hop.extracting(1..<end).holdsColon else { return nil }
    }

    /// Before the port, if there is exactly one colon; an address with more of them has no port.
    private static func endOfV4(_ hop: Span<UInt8>) -> Int {
        var colon: Int?
        for position in 0..<hop.count where hop[position] == UInt8(ascii: ":") {
            guard colon == nil else { return hop.count }
            colon = position
        }
        guard let colon, isPort(hop.extracting(colon..<hop.count)) else { return hop.count }
        return colon
    }

    /// A colon and 1–5 digits.
    private static func isPort(_ text: Span<UInt8>) -> Bool {
        guard 2...6 ~= text.count, text[0] == UInt8(ascii: ":") else { return false }
        for position in 1..<text.count where !text[position].isDigit { return false }
        return true
    }
}

extension Span<UInt8> {
    fileprivate var holdsColon: Bool {
        for position in 0..<count where self[position] == UInt8(ascii: ":") { return true }
        return false
    }
}
