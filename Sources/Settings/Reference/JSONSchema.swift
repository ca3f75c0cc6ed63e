// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// A JSON Schema (2020-12) of configurations, by which editors complete and check them: `docs/tollgate.schema.json` is
    /// this text, which a test compares.
    ///
    /// It is made of the declarations that also read configurations. What only the reader can tell (a key beside another
    /// list's entries, the range of a duration) it lets pass.
    package static var jsonSchema: String {
        let head: JSONValue = [
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of Tollgate",
        ]
        return head.adding(schema.object).written() + "\n"
    }
}

extension Schema {
    /// What JSON Schema says of the mapping.
    var object: JSONValue { object(below: "") }

    private func object(below section: String) -> JSONValue {
        let properties = names(below: section).map { name in
            let path = section.isEmpty ? name : "\(section).\(name)"
            return JSONValue.Member(name: name, value: self[path].map(\.described) ?? self.object(below: path))
        }
        let mapping: JSONValue = [
            "type": isNullable(section) ? ["object", "null"] : "object", "additionalProperties": false,
            "properties": .object(properties),
        ]
        return rules[section].map(mapping.adding) ?? mapping
    }
}

extension Schema.Row {
    fileprivate var described: JSONValue {
        let described = JSONValue.object([JSONValue.Member(name: "description", value: .text(meaning))]).adding(schema)
        guard let standard else { return described }
        var problems = ProblemList()
        guard let element = try? Element(parsing: standard, named: path, &problems) else {
            preconditionFailure("The default of \(path) is no YAML")
        }
        return described.adding(["default": JSONValue(element)])
    }
}
