// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOHTTP1
import Testing

@testable import Admin

@Suite struct PageFileTests {
    private static func answer(_ file: PageFile, _ fields: [(String, String)] = []) -> AdminPages.Answer {
        file.answer(
            to: HTTPRequestHead(version: .http1_1, method: .GET, uri: file.rawValue, headers: HTTPHeaders(fields)))
    }

    /// The program has them as they lie in the sources.
    @Test(arguments: PageFile.allCases) func theProgramHasTheFilesThatAreThere(file: PageFile) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.deletingLastPathComponent().appending(path: "Sources/Admin/Page")
        let octets = try Data(contentsOf: folder.appending(path: "page.\(file)"))
        #expect(Self.answer(file).body == ByteBuffer(bytes: octets))
    }

    @Test func allOfItIs60KiBAtMost() {
        #expect(PageFile.allCases.map { Self.answer($0).body.readableBytes }.reduce(0, +) <= 60 * 1_024)
    }

    /// Browsers refuse what is inline, and whatever is elsewhere.
    @Test(arguments: PageFile.allCases) func nothingIsInlineOrElsewhere(file: PageFile) {
        let text = String(buffer: Self.answer(file).body)
        #expect(!text.contains("style=\"") && !text.contains("<style") && !text.contains("javascript:"))
        #expect(text.firstMatch(of: /<script(?![^>]*\ssrc=)/) == nil)
        #expect(text.firstMatch(of: /(?:src|href)="(?!\/|#|data:)/) == nil)
        // `#` is a pattern of the page itself.
        #expect(text.firstMatch(of: /@import|url\((?!["']?data:|#)/) == nil)
    }

    @Test(arguments: PageFile.allCases) func eachSaysWhatItMayDo(file: PageFile) {
        let answer = Self.answer(file)
        let policy = answer.others["Content-Security-Policy"].first ?? ""
        #expect(policy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "))
        #expect(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"))
        #expect(answer.others["X-Content-Type-Options"] == ["nosniff"])
        #expect(answer.others["Referrer-Policy"] == ["no-referrer"])
        #expect(answer.cacheControl == "no-cache")
    }

    @Test(arguments: PageFile.allCases) func whoeverHasItIsNotSentItAgain(file: PageFile) throws {
        let tag = try #require(Self.answer(file).others["ETag"].first)
        for known in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
            let answer = Self.answer(file, [("If-None-Match", known)])
            #expect(answer.status == .notModified && answer.body.readableBytes == 0)
            #expect(answer.others["ETag"] == [tag])
        }
        #expect(Self.answer(file, [("If-None-Match", "\"other\"")]).status == .ok)
    }

    @Test(
        arguments: [
            ("/page/events", [], nil), ("/page/events?after=5", [], 5), ("/page/events?x=1&after=7", [], 7),
            ("/page/events", ["9"], 9), ("/page/events?after=5", ["9"], 9), ("/page/events?after=12", ["9"], 12),
            ("/page/events?after=", ["x"], nil), ("/page/events?after=-3", [], -3), ("/page/events?AFTER=5", [], nil),
            ("/page/events?after=99999999999999999999", [], nil),
        ] as [(String, [String], Int?)])
    func aPageGoesOnWhereItWas(uri: String, ids: [String], expected: Int?) {
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: uri, headers: HTTPHeaders(ids.map { ("Last-Event-ID", $0) }))
        #expect(PageResumption.after(head) == expected)
    }
}
