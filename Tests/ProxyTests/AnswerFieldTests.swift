// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import Proxy

/// What is added to an answer where the handler hasn't said it itself.
@Suite struct AnswerFieldTests {
    private static let cors = "cors: {allow_origins: ['https://app.example']}"

    private func vary(_ answer: [String], _ settings: String = "{}", withKey: Bool = true) throws -> [String] {
        var forwarded = ForwardedAnswer(settings: settings)
        forwarded.edits.variesByCredential = withKey
        return try forwarded.values(of: "Vary", of: answer)
    }

    @Test(arguments: [
        ([], ["X-API-Key, Authorization"]), (["Vary: Accept"], ["Accept", "X-API-Key, Authorization"]),
        (["Vary: X-API-Key"], ["X-API-Key", "Authorization"]),
        (["Vary: authorization"], ["authorization", "X-API-Key"]),
        (["Vary: accept,x-api-key , AUTHORIZATION"], ["accept,x-api-key , AUTHORIZATION"]),
        (["Vary: Authorization", "vary: Accept, X-Api-Key"], ["Authorization", "Accept, X-Api-Key"]),
        (["Vary: X-API-Key-2"], ["X-API-Key-2", "X-API-Key, Authorization"]),
        (["Vary: *"], ["*"]), (["Vary: Accept", "Vary: *"], ["Accept", "*"]),
        (["Vary:"], ["", "X-API-Key, Authorization"]),
    ])
    func eachFieldIsNamedOnceInVary(answer: [String], expected: [String]) throws {
        #expect(try vary(answer) == expected)
        #expect(try vary(answer, withKey: false) == answer.map { String($0.drop { $0 != ":" }.dropFirst(2)) })
    }

    @Test(arguments: [
        ([], ["Origin"]), (["Vary: origin"], ["origin"]), (["Vary: Accept, Origin"], ["Accept, Origin"]),
        (["Vary: *"], ["*"]),
    ])
    func originToo(answer: [String], expected: [String]) throws {
        #expect(try vary(answer, Self.cors, withKey: false) == expected)
    }

    @Test func dateIsAddedOnce() throws {
        var forwarded = ForwardedAnswer()
        #expect(try forwarded.values(of: "Date", of: ["Date: yesterday"]) == ["yesterday"])
        forwarded.edits.date = ByteBuffer(string: "Mon, 23 Nov 2026 03:41:07 GMT").readableBytesView
        #expect(try forwarded.values(of: "Date", of: []) == ["Mon, 23 Nov 2026 03:41:07 GMT"])
    }
}
