// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Text that people will read in lists: one line that shows something and has an end.
func label(_ text: String) throws -> String {
    let breaks: Set<Unicode.GeneralCategory> = [.control, .lineSeparator, .paragraphSeparator]
    let scalars = text.unicodeScalars
    // Counted in scalars: a single character can be made of any number of them.
    guard (1...100).contains(scalars.count),
        !scalars.contains(where: { breaks.contains($0.properties.generalCategory) }),
        !text.allSatisfy(\.isWhitespace)
    else { throw ValidationError("expected a line of 1 to 100 characters") }
    return text
}
