// SPDX-License-Identifier: Apache-2.0

import HTTP1

@testable import FuzzSubjects

extension Corpus.Entry {
    /// What our parser is to make of the entry.
    var expectedReading: Reading {
        guard let accept else { return Reading(payload: payload ?? "", refusal: refuse) }
        let head = Reading.Head(
            start: accept.start, version: accept.version, framing: Self.framing(accept.framing),
            keepsAlive: accept.keepsAlive,
            expectsContinue: accept.expects ?? false, fields: accept.fields)
        return Reading(
            head: head, payload: accept.body, trailers: accept.trailers, isOver: true, rest: accept.rest)
    }

    var kind: Reader.Kind {
        switch method {
        case nil: .request
        case "HEAD": .response(to: .head)
        default: .response(to: .get)
        }
    }

    private static func framing(_ name: String) -> BodyFraming {
        let words = name.split(separator: " ")
        switch words.first {
        case "none": return .none
        case "chunked": return .chunked
        case "untilClose": return .untilClose
        default: return .length(words.last.flatMap { UInt64($0) } ?? 0)
        }
    }
}
