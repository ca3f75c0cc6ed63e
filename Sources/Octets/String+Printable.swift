// SPDX-License-Identifier: Apache-2.0

extension String {
    /// What may be shown. Others write to Redis and documents too, and a terminal obeys what is in a name: control characters move its
    /// cursor and rename its window, a line's end forges a row, a change of direction turns one round. They are written as
    /// `\u{1B}`.
    package var printable: String {
        // Nearly all there is.
        if utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return self }
        guard unicodeScalars.contains(where: \.isCommand) else { return self }
        return unicodeScalars.reduce(into: "") { text, scalar in
            if scalar.isCommand {
                text += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
    }
}

extension Unicode.Scalar {
    /// Does something instead of showing something.
    package var isCommand: Bool {
        if isASCII { return !(0x20...0x7E).contains(value) }
        return switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        // Embeddings, overrides and isolates of direction (Unicode Standard Annex #9).
        default: (0x202A...0x202E).contains(value) || (0x2066...0x2069).contains(value)
        }
    }
}
