// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// JSON of any shape; members in the order of their names.
struct DecodedJSON: Decodable {
    /// Nil where a number in it has no room here.
    let json: JSON?

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
        } else if let list = try? value.decode([DecodedJSON].self) {
            let elements = list.compactMap(\.json)
            json = elements.count == list.count ? .array(elements) : nil
        } else if let members = try? value.decode([String: DecodedJSON].self) {
            let written = members.sorted { $0.key < $1.key }.compactMap { name, value in value.json.map { (name, $0) } }
            json = written.count == members.count ? .object(written) : nil
        } else {
            json = (try? value.decode(Decimal.self)).map { .verbatim("\($0)") }
        }
    }
}
