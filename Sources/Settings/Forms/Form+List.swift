// SPDX-License-Identifier: Apache-2.0

import Limits

extension Form {
    /// A list of values of `form`, each of them once.
    ///
    /// - Parameter identity: what makes two values the same.
    static func list<Item: Sendable, Identity: Hashable & SendableMetatype>(
        _ expectation: String, of form: Form<Item>, isEmptyAllowed: Bool = false, emptyHint: String? = nil,
        identity: @escaping @Sendable (Item) -> Identity
    ) -> Form<[Item]> where Value == [Item] {
        Form(expectation: expectation, schema: .list(of: form.schema, isEmptyAllowed: isEmptyAllowed)) {
            element, path, problems in
            guard let elements = element.entries(of: expectation, path, isEmptyAllowed, emptyHint, &problems) else {
                return nil
            }
            var seen: [Identity: Int] = [:]
            var items: [Item] = []
            for (index, entry) in elements.enumerated() {
                guard let item = form.read(entry, "\(path)[\(index)]", &problems) else { continue }
                if let first = seen.updateValue(index, forKey: identity(item)) {
                    problems.refuse(
                        entry, "\(path)[\(index)]", expected: "each entry once",
                        got: "\(entry.summary) again, which is entry \(first)")
                }
                items.append(item)
            }
            return items.count == elements.count ? items : nil
        }
    }

    static func list<Item: Sendable & Hashable>(
        _ expectation: String, of form: Form<Item>, isEmptyAllowed: Bool = false, emptyHint: String? = nil
    ) -> Form<[Item]> where Value == [Item] {
        list(expectation, of: form, isEmptyAllowed: isEmptyAllowed, emptyHint: emptyHint, identity: \.self)
    }

    /// One value of `form` alone, or a list of such.
    static func oneOrList<Item: Sendable, Identity: Hashable & SendableMetatype>(
        _ expectation: String, of form: Form<Item>, identity: @escaping @Sendable (Item) -> Identity
    ) -> Form<[Item]> where Value == [Item] {
        let list = Form<[Item]>.list(expectation, of: form, identity: identity)
        return Form(expectation: expectation, schema: .anyOf(form.schema, list.schema)) { element, path, problems in
            if case .list = element.content { return list.read(element, path, &problems) }
            return form.read(element, path, &problems).map { [$0] }
        }
    }
}

extension Element {
    /// The entries of a list, or nil after a report.
    func entries(
        of expectation: String, _ path: String, _ isEmptyAllowed: Bool, _ emptyHint: String?,
        _ problems: inout ProblemList
    ) -> [Element]? {
        guard case .list(let elements) = content else {
            // Most likely a single entry without its brackets.
            let isText = if case .text = scalar?.kind { true } else { false }
            let text = isText ? scalar.flatMap { $0.text.contains("@") ? nil : $0.text.shown } : nil
            let hint = text.map { "put it in brackets: [\($0)]" }
            problems.refuse(self, path, expected: expectation, hint: hint)
            return nil
        }
        guard isEmptyAllowed || !elements.isEmpty else {
            problems.refuse(self, path, expected: expectation, got: "an empty list", hint: emptyHint)
            return nil
        }
        guard elements.count <= ListBounds.most else {
            problems.refuse(
                self, path, expected: "at most \(ListBounds.most) entries", got: "\(elements.count)")
            return nil
        }
        return elements
    }
}
