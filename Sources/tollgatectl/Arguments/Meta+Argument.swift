// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits
import Octets

extension Meta {
    init(argument text: String) throws {
        do throws(Flaw) {
            try self.init(parsing: text)
        } catch {
            throw ValidationError(
                "expected a JSON object of at most \(Self.longest) bytes such as '{\"tier\":\"gold\"}'; "
                    + "\(error)".printable)
        }
    }
}

extension JSON {
    /// - Parameter record: as a record has it; a text where it is no ``Meta``.
    init(meta record: String?) {
        guard let record, !record.isEmpty else {
            self = .null
            return
        }
        self = (try? Meta(parsing: record)).map { .verbatim($0.text) } ?? .string(record)
    }
}
