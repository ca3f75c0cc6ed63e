// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Testing

/// The corpus and what is expected of it; `expectations.json` says what its members mean.
struct Corpus: Decodable {
    struct Entry: Decodable, CustomTestStringConvertible {
        let file: String
        let method: String?
        let eof: Bool?
        let accept: Accepted?
        let refuse: String?
        let payload: String?
        let llhttp: String?

        var testDescription: String { file }

        func octets() throws -> [UInt8] {
            [UInt8](try Data(contentsOf: Corpus.directory.appendingPathComponent(file)))
        }
    }

    struct Accepted: Decodable {
        let method: String?
        let target: String?
        let form: String?
        let expects: Bool?
        let status: Int?
        let reason: String?
        let version: String
        let framing: String
        let keepsAlive: Bool
        let fields: [[String]]
        let body: String
        let trailers: String
        let rest: String

        /// Method, target and its form; or status and reason.
        var start: [String] {
            if let status { [String(status), reason ?? ""] } else { [method ?? "", target ?? "", form ?? ""] }
        }
    }

    let requests: [Entry]
    let responses: [Entry]

    /// The files in the order of the table; traps in a checkout without them, since nothing could be tested.
    static let shared: Corpus = {
        do {
            let table = try Data(contentsOf: directory.appendingPathComponent("expectations.json"))
            return try JSONDecoder().decode(Corpus.self, from: table)
        } catch {
            preconditionFailure("Cannot read the corpus: \(error)")
        }
    }()

    private static let directory: URL = Bundle.module.bundleURL.appendingPathComponent("Corpus")
}
