// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import FuzzSubjects
@testable import HTTP1

/// What a request head tells besides what the corpus asserts.
@Suite struct RequestHeadTests {
    private func parse(
        _ text: String, limits: HeadLimits = HeadLimits()
    ) throws(HeadError) -> RequestHead? {
        var parser = RequestHeadParser(limits: limits)
        var input = buffer(text)
        var head = RequestHead()
        return try parser.parse(&input, into: &head) ? head : nil
    }

    @Test(arguments: [
        ("GET", Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("PATCH", .patch),
        ("OPTIONS", .options), ("TRACE", .trace), ("get", .other), ("GETS", .other), ("PROPPATCH", .other),
    ])
    func methodIsRecognized(_ name: String, _ method: Method) throws {
        let head = try #require(try parse("\(name) / HTTP/1.1\r\nHost: a\r\n\r\n"))
        #expect(head.method == method)
        #expect(head.string(in: head.methodRange) == name)
        #expect(method.name.map { "\($0)" } == (method == .other ? nil : name))
    }

    @Test(arguments: KnownField.allCases.filter { $0 != .other })
    func everyKnownFieldIsRecognizedInAnyCase(_ field: KnownField) throws {
        // Framing and connection fields are particular about their values.
        let value = [.contentLength: "5", .transferEncoding: "chunked"][field] ?? "x"
        for name in ["\(field.name)", "\(field.name)".lowercased(), "\(field.name)".uppercased()] {
            let host = field == .host ? "" : "Host: a\r\n"
            let head = try #require(try parse("POST / HTTP/1.1\r\n\(host)\(name): \(value)\r\n\r\n"))
            let last = try #require(head.fields.last)
            #expect(last.id == field)
            #expect(last.foldedID == field)
            #expect(head.present.contains(field))
            #expect(head.count(of: field) == 1)
            #expect(head.value(of: field).map { head.string(in: $0) } == value)
        }
    }

    @Test(arguments: KnownField.allCases.filter { "\($0.name)".contains("-") })
    func underscoresCountForRemovalOnly(_ field: KnownField) throws {
        let name = "\(field.name)".replacing("-", with: "_")
        let head = try #require(try parse("POST / HTTP/1.1\r\nHost: a\r\n\(name): chunked\r\n\r\n"))
        let last = try #require(head.fields.last)
        #expect(last.id == .other)
        #expect(last.foldedID == field)
        #expect(!head.present.contains(field))
        #expect(head.value(of: field) == nil)
        #expect(head.count(of: field) == 0)
        #expect(head.framing == .none)
    }

    @Test func mixedUnderscoresAndHyphensFoldToo() throws {
        let head = try #require(try parse("GET / HTTP/1.1\r\nHost: a\r\nX-Tollgate_key-ID: x\r\nX_Tollgate: y\r\n\r\n"))
        #expect(head.fields.map(\.foldedID) == [.host, .xTollgateKeyID, .other])
    }

    /// lighttpd makes `_` of whatever is no letter and no digit.
    @Test(arguments: Array("!#$%&'*+.^_`|~"))
    func everythingElseFoldsToo(_ octet: Character) throws {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nX\(octet)Tollgate-Org: x\r\nCF\(octet)Connecting-IP: y\r\n\r\n"
        let head = try #require(try parse(text))
        #expect(head.fields.map(\.foldedID) == [.host, .xTollgateOrg, .other])
        #expect(head.fields.map(\.id) == [.host, .other, .other])
        let custom = try #require(FieldName("CF-Connecting-IP"))
        #expect(head.fields.map { head.section.has($0, name: custom, folding: true) } == [false, false, true])
    }

    @Test(arguments: ["Hos", "Hostt", "H\u{6F}st~", "X-Tollgate-Orgs", "XTollgateOrg", "X-Tollgate0Org", "x^y"])
    func similarNamesAreOther(_ name: String) throws {
        let head = try #require(try parse("GET / HTTP/1.1\r\nHost: a\r\n\(name): x\r\n\r\n"))
        #expect(head.fields.last?.id == .other)
        #expect(head.fields.last?.foldedID == .other)
    }

    @Test(
        arguments: [
            ("SCRIPT_NAME", .oddName), ("x.y", .oddName), ("X-Original_URL", .oddName), ("X_Tollgate_Org", .oddName),
            ("A-Name-That-Is-Longer-Than-32-Octets_", .oddName), ("Daphne-Root-Path", .target),
            ("x-root-path", .target),
            ("X-ORIGINAL-URL", .target), ("X-Original-Uri", .target), ("x-rewrite-url", .target), ("Proxy", .target),
            ("X-Script-Name", .target), ("X-HTTP-Method-Override", .target), ("X-HTTP-Method", .target),
            ("X-Method-Override", .target), ("A-Name-That-Is-Longer-Than-32-Octets-Root-Path", .target),
            ("X-Tollgate-Plan", .identity), ("x-tollgate-", .identity), ("X-Forwarded-Prefix", .forwarding),
            ("X-Forwarded-", .forwarding), ("True-Client-IP", .forwarding), ("CF-Connecting-IP", .forwarding),
            ("client-ip", .forwarding), ("X-Forwarded", .forwarding), ("-Root-Path", .none), ("Root-Path", .none),
            ("X-Tollgate", .none),
            ("Client", .none), ("X-Original-URLs", .none), ("Proxy-A", .none), ("X-Y", .none), ("x", .none),
            ("A-Name-That-Is-Longer-Than-32-Octets-Too", .none), ("X-Tollgate-Org", .none), ("Host_", .oddName),
        ] as [(String, FieldSway)])
    func namesThatChooseAreTold(_ name: String, _ sway: FieldSway) throws {
        let head = try #require(try parse("GET / HTTP/1.1\r\nHost: a\r\n\(name): x\r\nB: \r\n\r\n"))
        #expect(head.section.sway(of: head.fields[1]) == sway)
        #expect(head.fields.map(\.hasSway) == [false, sway != .none, false])
    }

    @Test(arguments: FieldSway.targets + FieldSway.clients)
    func everyListedNameIsTold(_ name: String) throws {
        let sway: FieldSway = FieldSway.targets.contains(name) ? .target : .forwarding
        for name in [name, name.uppercased()] {
            let head = try #require(try parse("GET / HTTP/1.1\r\nHost: a\r\n\(name): x\r\n\(name)s: x\r\n\r\n"))
            #expect(head.fields[1...].map { head.section.sway(of: $0) } == [sway, .none])
        }
    }

    @Test func fieldIsEightBytes() {
        #expect(MemoryLayout<Field>.size == 8)
        #expect(KnownField.allCases.count <= 64)
    }

    @Test func firstOfSeveralIsTheValue() throws {
        let head = try #require(
            try parse("GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: one\r\nx-api-key: two\r\nX_API_Key: three\r\n\r\n"))
        #expect(head.count(of: .xAPIKey) == 2)
        #expect(head.value(of: .xAPIKey).map { head.string(in: $0) } == "one")
        #expect(head.value(of: .authorization) == nil)
    }

    @Test func configuredNamesAreFound() throws {
        let head = try #require(
            try parse("GET / HTTP/1.1\r\nHost: a\r\nCF-Connecting-IP: 1\r\nCF_Connecting-IP: 2\r\nX_Real_IP: 3\r\n\r\n")
        )
        let custom = try #require(FieldName("cf-connecting-ip"))
        #expect(custom.id == .other)
        #expect(head.fields.map { head.section.has($0, name: custom) } == [false, true, false, false])
        #expect(head.fields.map { head.section.has($0, name: custom, folding: true) } == [false, true, true, false])
        let known = try #require(FieldName("X-Real-IP"))
        #expect(known.id == .xRealIP)
        #expect(head.fields.map { head.section.has($0, name: known) } == [false, false, false, false])
        #expect(head.fields.map { head.section.has($0, name: known, folding: true) } == [false, false, false, true])
        for name in ["", "a b", "a:", "é", String(repeating: "x", count: 256)] { #expect(FieldName(name) == nil) }
    }

    @Test func valuesAreComparedInPlace() throws {
        let head = try #require(
            try parse("GET / HTTP/1.1\r\nHost: a\r\nAccept: Text/HTML;q=0.5, , text/event-stream\r\n\r\n"))
        let section = head.section
        let accept = try #require(head.value(of: .accept))
        #expect(section.list(accept, containsLowercased: latin1("text/event-stream")))
        #expect(!section.list(accept, containsLowercased: latin1("text/html")))
        #expect(section.list(accept, containsLowercased: latin1("text/html"), ignoringParameters: true))
        #expect(section.range(accept, startsWithLowercased: latin1("text/")))
        #expect(!section.range(accept, equalsLowercased: latin1("text/")))
        let host = try #require(head.value(of: .host))
        #expect(section.range(host, equals: latin1("a")))
        #expect(!section.range(host, equals: latin1("A")))
        #expect(head.octets(in: host) == latin1("a"))
    }

    @Test func connectionIsReadAsOptions() throws {
        let head = try #require(
            try parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, x-mine\r\nX-Mine: 1\r\nX-Mine2: 2\r\n\r\n"))
        #expect(head.connection.upgrade)
        #expect(!head.connection.close)
        #expect(!head.connection.keepAlive)
        #expect(head.connection.namesOthers)
        #expect(head.fields.map { head.section.isNominated($0) } == [false, false, true, false])
    }

    /// Milliseconds a request, when each field of the head had them read again.
    @Test func connectionHasFewEmptyElements() throws {
        func parse(commas: [Int]) throws -> RequestHead? {
            let lines = commas.map { "Connection: x\(String(repeating: ",", count: $0))\r\n" }
            return try self.parse("GET / HTTP/1.1\r\nHost: a\r\n\(lines.joined())\r\n")
        }
        #expect(try parse(commas: [9])?.connection.others.count == 1)
        #expect(throws: HeadError.malformedConnection) { try parse(commas: [10]) }
        #expect(throws: HeadError.malformedConnection) { try parse(commas: [31 * 1024]) }
        #expect(throws: HeadError.malformedConnection) { try parse(commas: [5, 6]) }
    }

    @Test func pathOfEveryFormIsTold() throws {
        func path(_ target: String, method: String = "GET") throws -> String {
            let head = try #require(try parse("\(method) \(target) HTTP/1.1\r\nHost: a:1\r\n\r\n"))
            return head.string(in: head.pathRange)
        }
        #expect(try path("/x?y") == "/x?y")
        #expect(try path("http://a:1/x?y") == "/x?y")
        #expect(try path("http://a:1") == "")
        #expect(try path("http://a:1?y") == "?y")
        #expect(try path("*", method: "OPTIONS") == "*")
        #expect(try path("a:1", method: "CONNECT") == "")
    }

    @Test func headIsReusedForTheNextRequest() throws {
        var parser = RequestHeadParser()
        var head = RequestHead()
        var input = buffer(
            "POST /1 HTTP/1.0\r\nExpect: x\r\nContent-Length: 0\r\nConnection: a, close\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\nGET"
        )
        #expect(try parser.parse(&input, into: &head))
        #expect(head.fields.count == 3)
        #expect(try parser.parse(&input, into: &head))
        #expect(head.method == .get)
        #expect(head.string(in: head.targetRange) == "/2")
        #expect(head.fields.count == 1)
        #expect(head.framing == .none)
        #expect(head.keepsAlive)
        #expect(head.connection == ConnectionOptions())
        #expect(try !parser.parse(&input, into: &head))
        #expect(latin1(input.readableBytesView) == "GET")
    }

    @Test func refusalIsFinalAndLeavesNothingBehind() throws {
        var parser = RequestHeadParser()
        var head = RequestHead()
        var input = buffer("GET /secret HTTP/1.1\r\nHost: a\r\nbad line\r\n\r\n")
        #expect(throws: HeadError.malformedFieldName) { try parser.parse(&input, into: &head) }
        #expect(head.fields.isEmpty)
        #expect(head.string(in: head.targetRange) == "")
        var next = buffer("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(throws: HeadError.malformedFieldName) { try parser.parse(&next, into: &head) }
    }

    /// A deadline may find a head that isn't whole; whoever then looks into it must not trap.
    @Test func unfinishedHeadReadsAsEmpty() throws {
        var parser = RequestHeadParser()
        var head = RequestHead()
        var input = buffer("GET /x HTTP/1.1\r\nHost: a\r\nConnection: x-mine\r\nX-Mine: 1\r\n")
        #expect(try !parser.parse(&input, into: &head))
        let name = try #require(FieldName("x-mine"))
        #expect(head.string(in: head.targetRange) == "")
        #expect(head.value(of: .host).map { head.octets(in: $0) } == [])
        #expect(!head.fields.contains { head.section.has($0, name: name) || head.section.isNominated($0) })
        #expect(!head.section.range(1..<3, startsWithLowercased: [0x61]))
        #expect(!head.section.list(1..<3, containsLowercased: [0x61]))
    }

    @Test func headSharesTheReadBuffer() throws {
        var parser = RequestHeadParser()
        var head = RequestHead()
        var input = buffer("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest")
        let base = input.withUnsafeReadableBytes { $0.baseAddress }
        #expect(try parser.parse(&input, into: &head))
        #expect(head.bytes.withUnsafeReadableBytes { $0.baseAddress } == base)
        head.reset()
        #expect(head.bytes.readableBytes == 0)
    }

    @Test func limitsAreExact() throws {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"
        #expect(try parse(text, limits: HeadLimits(bytes: text.utf8.count))?.fields.count == 2)
        #expect(throws: HeadError.tooLarge) { try parse(text, limits: HeadLimits(bytes: text.utf8.count - 1)) }
        #expect(try parse(text, limits: HeadLimits(fields: 2))?.fields.count == 2)
        #expect(throws: HeadError.tooManyFields) { try parse(text, limits: HeadLimits(fields: 1)) }
        #expect(HeadLimits(bytes: 1 << 20, fields: 1 << 20).bytes == 65_535)
        #expect(HeadLimits(bytes: 0, fields: 0).fields == 1)
    }

    @Test func largestHeadFitsItsRanges() throws {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
        let value = String(repeating: "v", count: 65_535 - start.utf8.count - 4)
        let head = try #require(try parse(start + value + "\r\n\r\n", limits: HeadLimits(bytes: 65_535)))
        #expect(head.fields.last?.valueRange == start.utf8.count..<65_531)
    }

    @Test func oneThatIsDetachedKeepsNothingElseOfItsBuffer() throws {
        let text = "POST /a?b HTTP/1.1\r\nHost: a\r\nX-A: v\r\nContent-Length: 60000\r\n\r\n"
        var input = buffer("x" + text + String(repeating: "b", count: 60_000))
        input.moveReaderIndex(forwardBy: 1)
        var parser = RequestHeadParser()
        var head = RequestHead()
        #expect(try parser.parse(&input, into: &head))
        head.detach()
        #expect(head.bytes.storageCapacity <= 256)
        #expect(String(buffer: head.bytes) == text)
        #expect(head.string(in: head.pathRange) == "/a?b")
        #expect(head.value(of: .host).map { head.string(in: $0) } == "a")
        #expect(head.fields.map { head.string(in: $0.valueRange) } == ["a", "v", "60000"])
    }

    @Test(arguments: HeadError.allCases)
    func everyErrorSaysWhatToAnswer(_ error: HeadError) {
        let large: [HeadError] = [.tooLarge, .tooManyFields, .fieldNameTooLong]
        #expect(error.status == (large.contains(error) ? 431 : error == .unsupportedVersion ? 505 : 400))
        #expect(!"\(error.detail)".isEmpty)
    }
}
