// SPDX-License-Identifier: Apache-2.0

extension Form {
    /// A list of mappings with the settings of one schema.
    private static func entries<Item: Sendable>(
        _ expectation: String, isEmptyAllowed: Bool, emptyHint: String? = nil, _ schema: Schema,
        _ read: @escaping @Sendable (Mapping, inout ProblemList) -> Item?
    ) -> Form<[Item]> where Value == [Item] {
        Form<[Item]>(
            expectation: expectation, schema: .list(of: schema.object, isEmptyAllowed: isEmptyAllowed)
        ) { element, path, problems in
            guard let elements = element.entries(of: expectation, path, isEmptyAllowed, emptyHint, &problems) else {
                return nil
            }
            var items: [Item] = []
            for (index, entry) in elements.enumerated() {
                guard let mapping = Mapping(entry, "\(path)[\(index)]", schema, &problems) else { continue }
                if let item = read(mapping, &problems) { items.append(item) }
            }
            return items.count == elements.count ? items : nil
        }
    }
}

extension Form where Value == [RoutesItem] {
    static let routes = entries(
        "a list of routes", isEmptyAllowed: false, emptyHint: "leave it out to let every path be known",
        RouteEntry.schema, RoutesItem.init(_:_:))
}

extension Form where Value == [PolicyEntry] {
    static let policies = entries(
        "a list of policies", isEmptyAllowed: true, PolicyEntry.schema, PolicyEntry.init(_:_:))
}
