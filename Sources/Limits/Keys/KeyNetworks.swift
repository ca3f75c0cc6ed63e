// SPDX-License-Identifier: Apache-2.0

/// Where a key may be used from: `10.0.0.0/8 2001:db8::1 unix` in its record; nothing there means anywhere.
package struct KeyNetworks: Sendable, Hashable {
    package private(set) var blocks: [AddressBlock] = []
    /// Peers of a Unix socket that have no address.
    private(set) var allowsUnix = false

    package init() {}

    /// - Returns: nil where a word is neither a block nor an address nor `unix`.
    package init?(parsing text: String) {
        for word in text.split(separator: " ", omittingEmptySubsequences: false) where !text.isEmpty {
            if word == "unix" {
                allowsUnix = true
            } else if let block = AddressBlock(String(word)) {
                blocks.append(block)
            } else {
                return nil
            }
        }
    }

    /// As the record holds them.
    package var text: String { (blocks.map(\.description) + (allowsUnix ? ["unix"] : [])).joined(separator: " ") }

    package var isUnrestricted: Bool { blocks.isEmpty && !allowsUnix }

    /// - Parameters:
    ///   - address: nil where the caller has none.
    ///   - isUnix: it came by a Unix socket.
    package func permit(_ address: IPAddress?, isUnix: Bool) -> Bool {
        if isUnrestricted { return true }
        guard let address else { return isUnix && allowsUnix }
        return blocks.contains { $0.contains(address) }
    }
}
