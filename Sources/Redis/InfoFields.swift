// SPDX-License-Identifier: Apache-2.0

/// What `INFO` answers: a name, a colon and a value a line, with headings and empty lines between them.
package struct InfoFields: Sendable, Equatable {
    /// In the order they came.
    package let fields: [(name: String, value: String)]

    package init(_ text: String) {
        fields = text.split(whereSeparator: \.isNewline).compactMap { line in
            guard line.first != "#", let colon = line.firstIndex(of: ":") else { return nil }
            return (String(line[..<colon]), String(line[line.index(after: colon)...]))
        }
    }

    /// Nil where the server says nothing of it.
    package subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// A whole number that isn't negative; nil where it is none.
    package func count(_ name: String) -> Int? { self[name].flatMap(Int.init).flatMap { $0 < 0 ? nil : $0 } }

    package static func == (left: Self, right: Self) -> Bool { left.fields.elementsEqual(right.fields, by: ==) }
}

extension RedisClient {
    /// One section of what the server tells of itself.
    ///
    /// - Throws: `.server` where this user may not ask, or the server has no such command.
    package func info(_ section: String) async throws(RedisError) -> InfoFields {
        InfoFields(try await send("INFO", section).text ?? "")
    }

    /// Who answers, asked anew.
    package func identity() async throws(RedisError) -> ServerIdentity {
        ServerIdentity(hello: try await send("HELLO"))
    }
}
