// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

@Suite struct UpstreamTargetsTests {
    @Test(
        arguments: [
            ("", ""),
            ("4a", "4a"),
            ("6a 4a", "6a 4a"),
            ("4a 6a", "4a 6a"),
            ("6a 6b 4a 4b", "6a 4a 6b 4b"),
            ("4a 4b 4c 6a", "4a 6a 4b 4c"),
            ("6a 4a 4b 4c", "6a 4a 4b 4c"),
            // A name server may repeat itself, and so may a file.
            ("4a 4a 6a 4a", "4a 6a"),
        ])
    func familiesTakeTurns(found: String, order: String) {
        #expect(addresses(found).interleaved == addresses(order))
    }

    @Test func theOneThatWorkedLastComesFirst() {
        var targets = UpstreamTargets(addresses("6a 4a 6b"))
        targets.worked(targets.all[1])
        #expect(targets.written == "4a 6a 6b")
        targets.worked(targets.all[0])
        #expect(targets.written == "4a 6a 6b")
        targets.failed(targets.all[0])
        #expect(targets.written == "6a 6b 4a")
    }

    @Test(
        arguments: [
            // The same ones in another order change nothing: what works stays where it is.
            ("4c 4a 4b", "4b 4a 4c"),
            ("4c 4b 4d", "4b 4c 4d"),
            // It is gone.
            ("4a 4c", "4a 4c"),
            ("4d", "4d"),
            ("", ""),
        ])
    func aWorkingOneStaysFirstWhileItsNameHasIt(answer: String, order: String) {
        var targets = UpstreamTargets(addresses("4a 4b 4c"))
        targets.worked(targets.all[1])
        let before = targets.all
        targets.replace(with: addresses(answer))
        #expect(targets.written == order)
        for target in before { #expect(target.isCurrent == answer.contains(target.written)) }
        // A connection remembers what it was made to, so it is the same one as long as it is there.
        for target in targets.all {
            #expect(before.contains { $0 === target } == "4a 4b 4c".contains(target.written))
        }
    }

    @Test func oneThatFailedSinceHasNoPrivilege() {
        var targets = UpstreamTargets(addresses("4a 4b"))
        targets.worked(targets.all[1])
        targets.failed(targets.all[0])
        targets.replace(with: addresses("4a 4b 4c"))
        #expect(targets.written == "4a 4b 4c")
    }

    @Test func anAddressThatComesBackIsAnotherOne() {
        var targets = UpstreamTargets(addresses("4a"))
        let first = targets.all[0]
        targets.replace(with: addresses("4b"))
        targets.replace(with: addresses("4a"))
        #expect(!first.isCurrent)
        #expect(targets.all[0] !== first && targets.all[0].isCurrent)
        // News of what is gone changes nothing.
        targets.worked(first)
        targets.failed(first)
        #expect(targets.written == "4a")
    }
}

// MARK: - Notation

/// `4a 6b`: 192.0.2.10 and 2001:db8::11.
func addresses(_ text: String) -> [SocketAddress] {
    text.split(separator: " ").map { word in
        let host = (word.utf8.last ?? 0) - UInt8(ascii: "a") + 10
        let address = word.hasPrefix("4") ? "192.0.2.\(host)" : "2001:db8::\(host)"
        guard let read = try? SocketAddress(ipAddress: address, port: 8081) else {
            preconditionFailure("\(word) is no address")
        }
        return read
    }
}

extension UpstreamTarget {
    var written: String {
        for family in ["4", "6"] {
            for letter in "abcdefghijkl" where addresses("\(family)\(letter)") == [address] {
                return "\(family)\(letter)"
            }
        }
        return "?"
    }
}

extension UpstreamTargets {
    var written: String { all.map(\.written).joined(separator: " ") }
}
