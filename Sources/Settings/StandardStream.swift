// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// What a program says, written at once: nothing is kept back for later.
package enum StandardStream: CInt, Sendable {
    case output = 1
    case error = 2

    /// Why nothing more can be written.
    package struct Lost: Error, Sendable, CustomStringConvertible {
        let code: CInt

        package var description: String { String(errno: code) }
        /// Whoever read it has left, as `head` does.
        package var isClosedPipe: Bool { code == EPIPE }
    }

    /// All of a text, as it is.
    package func write(_ text: String) throws(Lost) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe writeOctets(rawValue, $0.baseAddress, $0.count) }
            if count < 0, errno != EINTR { throw Lost(code: errno) }
            rest = rest.dropFirst(max(count, 0))
        }
    }
}

/// Outside the type, whose own `write` would be found first.
private func writeOctets(_ descriptor: CInt, _ octets: UnsafeRawPointer?, _ count: Int) -> Int {
    unsafe write(descriptor, octets, count)
}
