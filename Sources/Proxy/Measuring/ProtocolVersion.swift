// SPDX-License-Identifier: Apache-2.0

/// The versions of MCP that a specification has, as `MCP-Protocol-Version` names them.
enum ProtocolVersion {
    /// Not named: before 2025-06-18 nobody does, and `initialize` has it in its body.
    static let none = 0
    static let other = 1

    /// By number.
    static let names: [StaticString] = [
        "", "other", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28",
    ]

    private static let octets = names.map { Array($0.description.utf8) }

    static func number(of version: some Collection<UInt8>) -> Int {
        // The newest is what most name.
        for number in octets.indices.dropFirst(2).reversed() where version.elementsEqual(octets[number]) {
            return number
        }
        return other
    }
}
