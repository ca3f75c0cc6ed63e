// SPDX-License-Identifier: Apache-2.0

import TLS

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

extension Form where Value == [CertificateFiles.Identity] {
    static let certificateFiles = entries(
        "a list of entries with certificate and key", isEmptyAllowed: false, emptyHint: "leave it out for none",
        CertificateEntry.schema, CertificateEntry.read)
}

extension Form where Value == ListenEntry {
    /// An address alone, or with how connections begin there.
    fileprivate static let listenEntry = Form(
        expectation: "an address such as 127.0.0.1:8080, or an entry with one",
        schema: .anyOf(Form<Settings.ListenAddress>.listenAddress.schema, ListenEntry.schema.object)
    ) { element, path, problems in
        guard case .mapping(let pairs) = element.content, !pairs.isEmpty else {
            return Form<Settings.ListenAddress>.listenAddress.read(element, path, &problems).map {
                ListenEntry(listen: Settings.Listen($0), mapping: nil)
            }
        }
        // With nothing in it, too: whoever writes it wants TLS.
        let isSecure = pairs.contains { pair in
            guard case .mapping = pair.value.content else { return false }
            return pair.key.scalar?.text == ListenEntry.tlsPath
        }
        return Mapping(element, path, ListenEntry.schema, &problems).flatMap {
            ListenEntry($0, isSecure: isSecure, &problems)
        }
    }
}

extension Form where Value == [ListenEntry] {
    static let listen = oneOrList(
        "an address such as 127.0.0.1:8080, an entry with one, or a list of them", of: .listenEntry,
        identity: \.listen.address)
}

extension Form where Value == [PolicyEntry] {
    static let policies = entries(
        "a list of policies", isEmptyAllowed: true, PolicyEntry.schema, PolicyEntry.init(_:_:))
}
