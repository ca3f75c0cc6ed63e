// SPDX-License-Identifier: Apache-2.0

/// One key of the configuration: how it is written, what holds without it, and what it is for.
///
/// It is declared once, in its section, and everything goes by that: reading, defaults, refusals, unknown keys and the
/// reference. Its row has to be in a ``Schema``.
struct Setting<Value: Sendable>: Sendable {
    /// From the root or, in the entries of a list, from the entry: `redis.timeout`, `match.routes`.
    let path: String
    let form: Form<Value>
    /// The default as YAML; nil where the key is required, or where ``Schema/Row/meaning`` tells what holds without it.
    let standard: String?
    let meaning: String
    let derivation: Derivation?

    init(
        _ path: String, _ form: Form<Value>, default standard: String? = nil, _ meaning: String,
        derived derivation: Derivation? = nil
    ) {
        self.path = path
        self.form = form
        self.standard = standard
        self.meaning = meaning
        self.derivation = derivation
    }

    /// The key without its type, for tables.
    var row: Schema.Row {
        Schema.Row(
            path: path, expectation: form.expectation, standard: standard, meaning: meaning, schema: form.schema,
            derivation: derivation, isSupported: true)
    }

    /// What holds where the key isn't given.
    var standardValue: Value? {
        guard let standard else { return nil }
        var problems = ProblemList()
        guard let element = try? Element(parsing: standard, named: path, &problems),
            let value = form.read(element, path, &problems)
        else {
            preconditionFailure("The default of \(path) is none of its values: \(problems.error?.description ?? "")")
        }
        return value
    }
}
