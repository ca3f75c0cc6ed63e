// SPDX-License-Identifier: Apache-2.0

import Settings

/// What is said of a configuration; empty where nothing is wrong.
func lines(of yaml: String) -> [String] {
    do {
        _ = try Settings.parse(yaml, named: "t.yaml")
        return []
    } catch {
        return error.lines
    }
}
