// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits

/// Text that people will read in lists: one line that shows something and has an end.
func label(_ text: String) throws -> String {
    guard Label.isLabel(text) else { throw ValidationError("expected a line of 1 to 100 characters") }
    return text
}
