// SPDX-License-Identifier: Apache-2.0

extension String {
    /// `1 key`, `2 keys`, of a noun that takes an s.
    func counted(_ number: Int) -> String {
        "\(number) \(self)\(number == 1 ? "" : "s")"
    }
}
