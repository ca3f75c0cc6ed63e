// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// JSON of any shape, to be written again; members in the order of their names.
struct DecodedJSON: Decodable {
    let json: JSON

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let text = try? value.decode(String.self) {
            json = .string(text)
        } else if value.decodeNil() {
            json = .null
        } else if let flag = try? value.decode(Bool.self) {
            json = .bool(flag)
        } else if let number = try? value.decode(Int.self) {
            json = .integer(number)
        } else if let number = try? value.decode(Decimal.self) {
            json = .verbatim("\(number)")
        } else if let list = try? value.decode([DecodedJSON].self) {
            json = .array(list.map(\.json))
        } else {
            json = JSON(try value.decode([String: DecodedJSON].self))
        }
    }
}

extension JSON {
    init(_ members: [String: DecodedJSON]) {
        self = .object(members.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })
    }
}
