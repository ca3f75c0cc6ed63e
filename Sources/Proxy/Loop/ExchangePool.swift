// SPDX-License-Identifier: Apache-2.0

/// Exchanges whose requests are over, for the next ones of any connection of their loop: kept-alive requests allocate none, and
/// a connection at rest takes none of the room for a head, a record and a state.
///
/// Invariant: each is of a connection that is there, which it holds.
struct ExchangePool {
    /// More than this many requests begin anew.
    private static let capacity = 32

    /// The last one is the next to be taken.
    private(set) var idle: [Exchange] = []

    mutating func put(_ exchange: consuming Exchange) {
        if idle.count < Self.capacity { idle.append(exchange) }
    }

    /// One that somebody still holds is let go.
    ///
    /// - Returns: nil where there is none.
    mutating func take(for connection: HTTP1Connection) -> Exchange? {
        while var exchange = idle.popLast() {
            guard isKnownUniquelyReferenced(&exchange) else { continue }
            exchange.move(to: connection)
            return exchange
        }
        return nil
    }

    /// It is gone.
    mutating func forget(_ connection: HTTP1Connection) {
        idle.removeAll { $0.downstream === connection }
    }

    mutating func empty() {
        idle = []
    }
}
