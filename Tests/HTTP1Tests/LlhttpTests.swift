// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOHTTP1
import Testing

@testable import FuzzSubjects

/// What our parser accepts, llhttp (as NIOHTTP1 has it) accepts and reads alike; the exceptions are in the table.
@Suite struct LlhttpTests {
    @Test(arguments: Corpus.shared.requests.filter { $0.accept != nil })
    func readsRequestsAlike(_ entry: Corpus.Entry) throws {
        compare(entry, try Llhttp.request(try entry.octets()), start: 2)
    }

    @Test(arguments: Corpus.shared.responses.filter { $0.accept != nil })
    func readsResponsesAlike(_ entry: Corpus.Entry) throws {
        let method: HTTPMethod = entry.method == "HEAD" ? .HEAD : .GET
        let message = try Llhttp.response(try entry.octets(), to: method, endsThere: entry.eof ?? false)
        compare(entry, message, start: 1)
    }

    private func compare(_ entry: Corpus.Entry, _ message: Llhttp?, start: Int) {
        guard entry.llhttp == nil else {
            #expect(message == nil, "the table says that llhttp \(entry.llhttp ?? "")")
            return
        }
        let expected = entry.expectedReading
        let isAlike = message?.isAlike(expected, start: Array(expected.head?.start.prefix(start) ?? [])) ?? false
        #expect(isAlike, "\(String(describing: message))")
    }
}
