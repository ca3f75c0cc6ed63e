// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Settings
import Testing

@testable import Proxy

/// What is bound for which lists, beside which inherited sockets.
@Suite struct ListenPlanTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let listen: [String]
        /// `*` in front: dual-stack.
        var inherited: [String] = []
        /// `6` in front: IPv6 only; `*`: dual-stack.
        let bound: [String]
        var strangers: [Int] = []

        var testDescription: String { "\(listen) beside \(inherited)" }
    }

    @Test(arguments: [
        Case(listen: ["127.0.0.1:1"], bound: ["127.0.0.1:1"]),
        Case(listen: ["[::]:1"], bound: ["*[::]:1"]),
        Case(listen: ["[::1]:1"], bound: ["[::1]:1"]),
        Case(listen: ["0.0.0.0:1", "[::]:1"], bound: ["0.0.0.0:1", "6[::]:1"]),
        Case(listen: ["[::]:1", "0.0.0.0:1"], bound: ["6[::]:1", "0.0.0.0:1"]),
        Case(listen: ["0.0.0.0:1", "[::]:2"], bound: ["0.0.0.0:1", "*[::]:2"]),
        Case(listen: ["0.0.0.0:0", "[::]:0"], bound: ["0.0.0.0:0", "6[::]:0"]),
        // IPv4 on the loopback alone, as listed.
        Case(listen: ["127.0.0.1:1", "[::]:1"], bound: ["127.0.0.1:1", "6[::]:1"]),
        Case(listen: ["localhost:1"], bound: ["[::1]:1", "127.0.0.1:1"]),
        Case(listen: ["localhost:0"], bound: ["[::1]:0", "127.0.0.1:0"]),
        Case(listen: ["localhost:1", "127.0.0.1:1"], bound: ["[::1]:1", "127.0.0.1:1"]),
        Case(listen: ["127.0.0.1:0", "localhost:0"], bound: ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"]),
        // Who listens on all addresses listens on these.
        Case(listen: ["0.0.0.0:1", "localhost:1"], bound: ["0.0.0.0:1", "[::1]:1"]),
        Case(listen: ["127.0.0.1:1", "0.0.0.0:1"], bound: ["0.0.0.0:1"]),
        Case(listen: ["localhost:1", "[::]:1", "0.0.0.0:1"], bound: ["6[::]:1", "0.0.0.0:1"]),
        // ListenStream=1 of systemd.
        Case(listen: ["0.0.0.0:1", "[::]:1"], inherited: ["*[::]:1"], bound: []),
        Case(listen: ["0.0.0.0:1"], inherited: ["*[::]:1"], bound: []),
        Case(listen: ["[::]:1"], inherited: ["*[::]:1"], bound: []),
        Case(listen: ["[::]:1", "127.0.0.1:1", "127.0.0.1:2"], inherited: ["*[::]:1"], bound: ["127.0.0.1:2"]),
        Case(listen: ["0.0.0.0:1", "[::]:1"], inherited: ["[::]:1"], bound: ["0.0.0.0:1"]),
        Case(listen: ["0.0.0.0:1", "[::]:1"], inherited: ["0.0.0.0:1"], bound: ["6[::]:1"]),
        Case(listen: ["localhost:1"], inherited: ["127.0.0.1:1"], bound: ["[::1]:1"]),
        // It would serve whom nobody listed.
        Case(listen: ["127.0.0.1:1"], inherited: ["*[::]:1"], bound: ["127.0.0.1:1"], strangers: [0]),
        Case(listen: ["localhost:1"], inherited: ["0.0.0.0:1"], bound: ["[::1]:1", "127.0.0.1:1"], strangers: [0]),
        Case(listen: ["0.0.0.0:1"], inherited: ["[::]:1"], bound: ["0.0.0.0:1"], strangers: [0]),
        Case(listen: ["0.0.0.0:1"], inherited: ["0.0.0.0:1", "*[::]:2"], bound: [], strangers: [1]),
    ])
    func binds(_ one: Case) throws {
        let plan = try ListenPlan(one.listen.map(Self.entry), inherited: one.inherited.map(Self.inherited))
        let bound = plan.bindings.map { binding in
            (binding.isIPv6Only.map { $0 ? "6" : "*" } ?? "") + binding.address.written
        }
        #expect(bound == one.bound)
        #expect(plan.strangers == one.strangers)
    }

    @Test func unixSocketsAreComparedByTheirPath() throws {
        let entry = ListenPlan.Entry(
            listen: Settings.Listen.unix(path: "/run/a"), addresses: [try SocketAddress(unixDomainSocketPath: "/run/a")]
        )
        let path = try SocketAddress(unixDomainSocketPath: "/run/a")
        let other = try SocketAddress(unixDomainSocketPath: "/run/b")
        #expect(ListenPlan([entry], inherited: [.init(address: path, isDualStack: false)]).bindings.isEmpty)
        #expect(ListenPlan([entry], inherited: [.init(address: other, isDualStack: false), nil]).strangers == [0, 1])
        #expect(ListenPlan([entry], inherited: []).bindings.map(\.listen) == [.unix(path: "/run/a")])
    }

    /// Of a name only one address has to be there.
    @Test func whatIsOneOfSeveralIsMarked() throws {
        let plan = try ListenPlan(["localhost:1", "127.0.0.2:1"].map(Self.entry), inherited: [])
        #expect(plan.bindings.map(\.isOneOfSeveral) == [true, true, false])
    }

    /// Each connection comes by one socket, and a socket has one way to begin.
    @Test(arguments: [
        Sharing(listen: ["+127.0.0.1:1", "127.0.0.1:2"]),
        Sharing(listen: ["+0.0.0.0:1", "+127.0.0.1:1"]),
        Sharing(listen: ["+0.0.0.0:1", "127.0.0.1:1"], conflict: ["+0.0.0.0:1", "127.0.0.1:1"]),
        Sharing(listen: ["127.0.0.1:1", "+0.0.0.0:1"], conflict: ["127.0.0.1:1", "+0.0.0.0:1"]),
        Sharing(listen: ["+localhost:1", "127.0.0.1:1"], conflict: ["+localhost:1", "127.0.0.1:1"]),
        // The kernel chooses two ports.
        Sharing(listen: ["+127.0.0.1:0", "localhost:0"]),
        // Each family has a socket of its own.
        Sharing(listen: ["+[::]:1", "0.0.0.0:1"]),
        Sharing(listen: ["+[::]:1", "127.0.0.1:1"]),
        Sharing(listen: ["+[::]:1", "127.0.0.1:2"], inherited: ["*[::]:1"], openings: [true]),
        Sharing(listen: ["127.0.0.1:1", "+127.0.0.1:2"], inherited: ["127.0.0.1:1"], openings: [false]),
        Sharing(listen: ["+0.0.0.0:1"], inherited: ["*[::]:1"], openings: [true]),
        Sharing(listen: ["+[::]:1", "0.0.0.0:1"], inherited: ["*[::]:1"], conflict: ["+[::]:1", "0.0.0.0:1"]),
        Sharing(listen: ["127.0.0.1:1", "+[::]:1"], inherited: ["*[::]:1"], conflict: ["127.0.0.1:1", "+[::]:1"]),
        Sharing(listen: ["+127.0.0.1:1"], inherited: ["127.0.0.1:2"], openings: [nil]),
    ])
    func entriesOfOneSocketBeginAlike(_ one: Sharing) throws {
        let plan = try ListenPlan(one.listen.map(Self.entry), inherited: one.inherited.map(Self.inherited))
        let conflict = plan.conflict.map { [$0.one, $0.other].map(Self.written) }
        #expect(conflict == one.conflict)
        if one.conflict == nil { #expect(plan.openings.map { $0?.takesProxyProtocol } == one.openings) }
    }

    struct Sharing: Sendable, CustomTestStringConvertible {
        /// `+` in front: connections don't begin with a request.
        let listen: [String]
        var inherited: [String] = []
        var conflict: [String]?
        var openings: [Bool?] = []

        var testDescription: String { "\(listen) beside \(inherited)" }
    }

    private static func written(_ listen: Settings.Listen) -> String {
        (listen.opening.takesProxyProtocol ? "+" : "") + listen.description
    }

    private static func entry(_ text: String) throws -> ListenPlan.Entry {
        let (host, port) = try split(text.hasPrefix("+") ? String(text.dropFirst()) : text)
        let hosts = host == "localhost" ? ["::1", "127.0.0.1"] : [host]
        return ListenPlan.Entry(
            listen: Settings.Listen(
                .tcp(host: host, port: port), opening: .init(takesProxyProtocol: text.hasPrefix("+"))),
            addresses: try hosts.map { try SocketAddress(ipAddress: $0, port: port) })
    }

    private static func inherited(_ text: String) throws -> ListenPlan.Inherited {
        let isDualStack = text.hasPrefix("*")
        let (host, port) = try split(isDualStack ? String(text.dropFirst()) : text)
        return ListenPlan.Inherited(address: try SocketAddress(ipAddress: host, port: port), isDualStack: isDualStack)
    }

    private static func split(_ text: String) throws -> (host: String, port: Int) {
        let colon = try #require(text.lastIndex(of: ":"))
        let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
        return (host, try #require(Int(text[text.index(after: colon)...])))
    }
}
