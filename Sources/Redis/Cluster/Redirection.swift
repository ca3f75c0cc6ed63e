// SPDX-License-Identifier: Apache-2.0

package import Endpoints

/// What a node of a cluster answers instead of carrying out a command: nothing was done.
package enum Redirection: Sendable, Equatable {
    /// The hash slot is another node's from now on.
    case moved(HashSlot, to: ServerAddress)
    /// The hash slot is on its way, and this key, or what is to become one, is there already. The next one may be here.
    case ask(HashSlot, to: ServerAddress)
    /// The hash slot is on its way, and the command's keys aren't all on one side.
    case tryAgain
    /// Nobody has the hash slot, or the cluster doesn't serve.
    case down

    /// Nil for any other error.
    ///
    /// - Parameter node: that answered. A host that is left out, or that it doesn't know (`?`), is its own.
    package init?(_ error: RedisError, from node: ServerAddress) {
        guard case .server(let line) = error else { return nil }
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        switch words.first {
        case "MOVED":
            guard let (slot, address) = Self.place(words, from: node) else { return nil }
            self = .moved(slot, to: address)
        case "ASK":
            guard let (slot, address) = Self.place(words, from: node) else { return nil }
            self = .ask(slot, to: address)
        case "TRYAGAIN": self = .tryAgain
        case "CLUSTERDOWN": self = .down
        default: return nil
        }
    }

    /// `3999 127.0.0.1:6381`. An IPv6 address has no brackets there.
    private static func place(_ words: [Substring], from node: ServerAddress) -> (HashSlot, ServerAddress)? {
        guard words.count == 3, let number = Int(words[1]), let slot = HashSlot(number: number),
            let colon = words[2].lastIndex(of: ":"),
            let address = ServerAddress(
                told: String(words[2][..<colon]), port: String(words[2][words[2].index(after: colon)...]), by: node)
        else { return nil }
        return (slot, address)
    }
}

extension ServerAddress {
    /// As a node of a cluster tells it. A host that is left out, or that it doesn't know (`?`), is its own.
    init?(told host: String, port: String, by node: ServerAddress) {
        self.init(told: host.isEmpty || host == "?" ? node.host : host, port: port)
    }
}
