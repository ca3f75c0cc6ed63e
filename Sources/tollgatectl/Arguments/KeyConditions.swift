// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

/// Which keys a verb about several means.
struct KeyConditions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only keys of which this is so: user=ada, name=ci-*, meta.plan=gold. Of org, user, name, status, scope, check, subject and meta.NAME, a member of the key's own --meta: a text, a number as it is written, true or false. * and ? match. Repeatable.",
            valueName: "field=pattern"),
        transform: KeyFilter.Condition.init(argument:))
    var `where`: [KeyFilter.Condition] = []

    var filter: KeyFilter {
        var filter = KeyFilter()
        filter.conditions = `where`
        return filter
    }
}

extension KeyFilter.Condition {
    /// `user=ada`, `name=ci-*`
    init(argument text: String) throws {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            throw ValidationError("expected field=pattern such as user=ada or name=ci-*")
        }
        guard let field = KeyFilter.Field(parts[0]) else {
            throw ValidationError("no field \(parts[0].printable)\(KeyFilter.Field.names.suggestion(for: parts[0]))")
        }
        self.init(field, Glob(parts[1]))
    }
}
