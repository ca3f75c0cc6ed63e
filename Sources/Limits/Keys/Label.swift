// SPDX-License-Identifier: Apache-2.0

/// Text that people will read in lists, such as a key's name.
package enum Label {
    private static let breaks: Set<Unicode.GeneralCategory> = [.control, .lineSeparator, .paragraphSeparator]

    /// One line that shows something and has an end. Counted in scalars: a single character can be made of any number of
    /// them.
    package static func isLabel(_ text: String) -> Bool {
        if text.utf8.count <= 100, text.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) { return !text.isEmpty }
        let scalars = text.unicodeScalars
        return (1...100).contains(scalars.count)
            && !scalars.contains { breaks.contains($0.properties.generalCategory) }
            && !text.allSatisfy(\.isWhitespace)
    }
}
