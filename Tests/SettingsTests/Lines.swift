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

/// Without the columns, for what is about words.
func linesWithoutColumns(of yaml: String) -> [String] {
    lines(of: yaml).map { $0.replacing(/^(t\.yaml:\d+):\d+:/) { "\($0.1):" } }
}
