// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers

/// How many client connections the process has, in all and of each address. An address without one is not remembered.
///
/// Shared by all loops, so that none turns away while there is room; its lock is taken when a connection comes or goes,
/// never for a request.
final class ConnectionLedger: Sendable {
    enum Verdict: Equatable {
        case admitted
        /// It is counted, and one too many: another has to make room, or it has to leave.
        case crowded
        /// The address has its share; it isn't counted.
        case shareTaken
    }

    private struct State {
        var most: Int
        var mostOfAddress: Int
        var count = 0
        var byAddress: [String: Int] = [:]
    }

    private let state: NIOLockedValueBox<State>

    init(most: Int, mostOfAddress: Int) {
        state = NIOLockedValueBox(State(most: most, mostOfAddress: mostOfAddress))
    }

    /// Other bounds are in force. Whoever is there already stays.
    func change(most: Int, mostOfAddress: Int) {
        state.withLockedValue { ($0.most, $0.mostOfAddress) = (most, mostOfAddress) }
    }

    /// How many there are now.
    var count: Int { state.withLockedValue { $0.count } }

    /// How many there are beyond the bound.
    var excess: Int { state.withLockedValue { max(0, $0.count - $0.most) } }

    /// - Parameter address: nil for whoever may have them all.
    func enter(_ address: String?) -> Verdict {
        state.withLockedValue { state in
            if let address {
                let taken = state.byAddress[address] ?? 0
                guard taken < state.mostOfAddress else { return .shareTaken }
                state.byAddress[address] = taken + 1
            }
            state.count += 1
            return state.count <= state.most ? .admitted : .crowded
        }
    }

    /// One that was counted for nobody turns out to be this address'.
    ///
    /// - Returns: false where the address has its share: the connection stays nobody's.
    func claim(for address: String) -> Bool {
        state.withLockedValue { state in
            let taken = state.byAddress[address] ?? 0
            guard taken < state.mostOfAddress else { return false }
            state.byAddress[address] = taken + 1
            return true
        }
    }

    /// One that was counted goes.
    func leave(_ address: String?) {
        state.withLockedValue { state in
            precondition(state.count > 0, "More leave than were counted")
            state.count -= 1
            guard let address else { return }
            guard let taken = state.byAddress[address] else {
                preconditionFailure("One leaves whose address was not counted")
            }
            state.byAddress[address] = taken > 1 ? taken - 1 : nil
        }
    }
}
