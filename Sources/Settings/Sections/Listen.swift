// SPDX-License-Identifier: Apache-2.0

package import TLS

extension Settings {
    /// Where clients connect.
    package enum ListenAddress: Sendable, Hashable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    /// An address that clients connect to, and how connections begin there.
    package struct Listen: Sendable, Hashable {
        /// What comes before the first request.
        package struct Opening: Sendable, Hashable {
            /// Each connection begins with who its client is, in the PROXY protocol. Before TLS.
            package var takesProxyProtocol: Bool
            /// Nil: none.
            package var tls: ListenTLS?

            package init(takesProxyProtocol: Bool = false, tls: ListenTLS? = nil) {
                self.takesProxyProtocol = takesProxyProtocol
                self.tls = tls
            }
        }

        package var address: ListenAddress
        package var opening: Opening

        package init(_ address: ListenAddress, opening: Opening = Opening()) {
            self.address = address
            self.opening = opening
        }

        package static func tcp(host: String, port: Int) -> Listen { Listen(.tcp(host: host, port: port)) }

        package static func unix(path: String) -> Listen { Listen(.unix(path: path)) }
    }

    /// What TLS goes by where clients connect.
    package struct ListenTLS: Sendable, Hashable {
        package var files: ServerFiles
        package var least: LeastVersion
        /// Of clients' certificates, whose names are compared with these; nil: every client whose certificate is good.
        package var allowedSubjects: Set<String>?
        /// How long a browser is told to come by TLS alone (RFC 6797); nil: it is told nothing.
        package var strictTransport: Duration?
        /// What was read from the files; nil where the configuration is only looked at.
        package var certificates: ServerCertificates?

        package init(
            files: ServerFiles, least: LeastVersion = .tls12, allowedSubjects: Set<String>? = nil,
            strictTransport: Duration? = nil, certificates: ServerCertificates? = nil
        ) {
            self.files = files
            self.least = least
            self.allowedSubjects = allowedSubjects
            self.strictTransport = strictTransport
            self.certificates = certificates
        }
    }
}

/// An entry of `listen` with what the checks beside other settings need.
struct ListenEntry: Sendable {
    var listen: Settings.Listen
    /// Nil where it is an address alone.
    let mapping: Mapping?
}

extension ListenEntry {
    static let schema = Schema(joining: [
        Schema([address.row], rules: ["": ["required": ["address"]]]), tlsSchema, Schema([takesProxyProtocol.row]),
    ])

    static let address = Setting("address", .listenAddress, "Where clients connect: host:port or unix:/path.")
    static let takesProxyProtocol = Setting(
        "proxy_protocol", .boolean, default: "false",
        "Each connection begins with its client's address, by the PROXY protocol 1 or 2, from trusted_proxies alone.")

    init?(_ mapping: Mapping, isSecure: Bool, _ problems: inout ProblemList) {
        let address = mapping.required(Self.address, &problems)
        let takesProxyProtocol = mapping.value(Self.takesProxyProtocol, &problems)
        let tls = isSecure ? Settings.ListenTLS(mapping, &problems) : nil
        guard let address, isSecure == (tls != nil) else { return nil }
        listen = Settings.Listen(address, opening: .init(takesProxyProtocol: takesProxyProtocol, tls: tls))
        self.mapping = mapping
    }

    /// Nobody could connect where each connection begins with a word that is taken from nobody.
    fileprivate func refuseUntrusted(_ trusted: [String], _ problems: inout ProblemList) {
        guard listen.opening.takesProxyProtocol, let mapping else { return }
        let isReachable =
            switch listen.address {
            case .unix: trusted.contains(Form<String>.trustedUnix)
            case .tcp: trusted.contains { $0 != Form<String>.trustedUnix }
            }
        guard isReachable else {
            return mapping.refuse(
                Self.takesProxyProtocol, expected: "trusted_proxies that connect here",
                got: "none, so nobody could", hint: "list who sends it there", &problems)
        }
    }
}

extension [ListenEntry] {
    func refuseConflicts(with clients: Settings.Clients, _ problems: inout ProblemList) {
        for entry in self { entry.refuseUntrusted(clients.trustedProxies, &problems) }
    }

    /// Reads the files, to be used.
    mutating func readCertificates(_ problems: inout ProblemList) {
        for index in indices { self[index].readCertificates(&problems) }
    }
}

extension Mapping {
    /// An address on the command line or in the environment would take the place of all that the file says of how connections
    /// begin: of TLS too.
    func refuseReplacedOpenings(_ problems: inout ProblemList) {
        let all = elements(at: Settings.listen.path)
        guard all.count > 1, all.dropLast().contains(where: \.hasEntries) else { return }
        refuse(
            Settings.listen, expected: "no addresses here beside entries with tls or proxy_protocol in the file",
            hint: "they would take the place of all entries: name the addresses there", &problems)
    }
}

extension Element {
    /// It is an entry with more than an address, or has one.
    fileprivate var hasEntries: Bool {
        switch content {
        case .scalar: false
        case .list(let elements): elements.contains(where: \.hasEntries)
        case .mapping: true
        }
    }
}

extension Settings.Listen: CustomStringConvertible {
    package var description: String { "\(address)" }
}

extension Settings.Listen.Opening {
    /// For who checks a configuration: ` (TLS, PROXY protocol)`.
    var note: String {
        let notes =
            (tls == nil ? [] : [tls?.files.clientAuthorities == nil ? "TLS" : "TLS with clients' certificates"])
            + (takesProxyProtocol ? ["PROXY protocol"] : [])
        return notes.isEmpty ? "" : " (\(notes.joined(separator: ", ")))"
    }
}
