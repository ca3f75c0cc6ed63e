// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import LibC
import NIOPosix
import OpenAPI
import Octets
import Settings
import TLS

extension Config {
    /// `tollgate config init`: a file to begin with, made from what a handler says of itself.
    struct Init: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a configuration with the routes of an OpenAPI document.",
            discussion: """
                The document is read once. Each of its operations becomes a route that asks for a key; look through them \
                and give more to those that need it. A document doesn't tell where MCP servers are mounted: name them by \
                --mcp. With openapi in routes the sidecar itself reads the document instead, again and again.

                EXAMPLES:
                  tollgate config init --openapi http://127.0.0.1:8081/openapi.json --mcp /mcp --out tollgate.yaml
                """)

        @Option(help: ArgumentHelp("The document, on the handler's host.", valueName: "url"))
        var openapi: String
        @Option(help: ArgumentHelp("Path of an MCP server; may be repeated.", valueName: "path"))
        var mcp: [String] = []
        @Option(
            help: ArgumentHelp(
                "Parameter that takes what is left of a path, as FastAPI's {path:path}; may be repeated.",
                valueName: "name"))
        var rest: [String] = []
        @Option(
            help: ArgumentHelp("A file to write, which isn't there yet. Default: standard output.", valueName: "file"))
        var out: String?

        func run() async throws {
            let (source, security) = try source()
            let document: Document
            do {
                var trust = security
                trust?.certificates = try security?.read()
                switch try await DocumentFetch.ask(source, by: trust, on: MultiThreadedEventLoopGroup.singleton) {
                case .document(let octets, _): document = try Document(octets, readAt: source.target)
                case .unchanged: throw FetchError.status(304)
                }
            } catch {
                throw fail(["tollgate: \(source): \(error)"])
            }
            var left = document.skipped
            let routes = document.routes(rest: rest) { left.append($0) }
            let text = try ConfigurationDraft(source, routes, mcp: mcp, leftOut: left).checked()
            try write(text)
        }

        /// As the sidecar would read it from a file.
        private func source() throws -> (Settings.Discovery.Source, ServerTrust?) {
            let quoted = ConfigurationDraft.quoted
            let text = """
                upstream: {url: \(quoted(origin))}
                routes: [{openapi: \(quoted(openapi))\(rest.isEmpty ? "" : ", rest: [\(rest.map(quoted).joined(separator: ","))]")}]
                """
            guard let settings = try? Settings.parse(text, named: "--openapi"),
                let source = settings.discovery?.sources.first
            else {
                throw ValidationError("--openapi: expected a URL such as http://127.0.0.1:8081/openapi.json")
            }
            return (source, settings.upstream.security)
        }

        /// The handler is where its document is.
        private var origin: String {
            guard let scheme = openapi.firstRange(of: "://") else { return openapi }
            return String(
                openapi[..<scheme.upperBound] + openapi[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" })
        }

        private func write(_ text: String) throws {
            guard let out else { return try StandardStream.output.write(text) }
            // What is there was written by somebody, perhaps with keys of policies in it.
            let descriptor = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else {
                throw fail(["tollgate: \(out): \(String(errno: errno)) (nothing is overwritten: name another file)"])
            }
            defer { close(descriptor) }
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { LibC.write(descriptor, $0.baseAddress, $0.count) }
                guard count > 0 || errno == EINTR else { throw fail(["tollgate: \(out): \(String(errno: errno))"]) }
                rest = rest.dropFirst(max(count, 0))
            }
        }

        private func fail(_ lines: [String]) -> ExitCode {
            try? StandardStream.error.write(lines.map { $0 + "\n" }.joined())
            return .failure
        }
    }
}

/// The text of a configuration that nobody has edited yet.
struct ConfigurationDraft {
    private let lines: [String]

    init(_ source: Settings.Discovery.Source, _ routes: [Settings.Route], mcp: [String], leftOut: [String]) {
        let quoted = Self.quoted
        var lines = [
            "# The operations of \(source). Each asks for a key.", "upstream:",
            "  url: \(quoted(source.origin))", "routes:",
            "  # Pages beside the operations. Take the # away to serve them to anybody:",
        ]
        for page in ["/docs", "/redoc", source.target, "/.well-known/oauth-protected-resource"] {
            lines.append("  #- {path: \(quoted(page)), methods: [GET], public: true}")
        }
        lines += leftOut.map { "  # left out: \($0.filter { !$0.isNewline })" }
        lines += mcp.map { "  - {path: \(quoted($0)), mcp: true}" }
        lines += routes.map { "  - {path: \(quoted($0.path)), methods: [\($0.methods.joined(separator: ", "))]}" }
        self.lines = lines
    }

    /// - Throws: where what was asked for can't be a configuration.
    func checked() throws -> String {
        let text = lines.map { "\($0)\n" }.joined()
        do throws(ConfigurationError) {
            _ = try Settings.parse(text, named: "draft")
        } catch {
            let lines = error.lines.joined(separator: "\n")
            throw ValidationError("nothing was written, since it would be wrong:\n\(lines)")
        }
        return text
    }

    /// As JSON has strings, which YAML has too.
    static func quoted(_ text: String) -> String {
        var octets: [UInt8] = []
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": octets += Array("\\\(scalar)".utf8)
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                octets += Array("\\x\(digits.count < 2 ? "0" : "")\(digits)".utf8)
            default: octets += Array(String(scalar).utf8)
            }
        }
        return "\"\(String(decoding: octets, as: UTF8.self))\""
    }
}
