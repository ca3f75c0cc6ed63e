// SPDX-License-Identifier: Apache-2.0

import Settings
import Testing

@testable import OpenAPI

@Suite struct DocumentTests {
    private func document(_ text: String, at target: String = "/openapi.json") throws -> Document {
        try Document(Array(text.utf8), readAt: target)
    }

    private func flaw(_ octets: [UInt8]) -> DocumentFlaw? {
        do throws(DocumentFlaw) {
            _ = try Document(octets, readAt: "/openapi.json")
            return nil
        } catch {
            return error
        }
    }

    private func told(_ text: String, at target: String = "/openapi.json") throws -> [String] {
        try document(text, at: target).operations.map { "\($0.method) \($0.path)" }
    }

    @Test func everyOperationIsTold() throws {
        let text = """
            {"openapi": "3.1.0", "x-paths": 7, "webhooks": {"/hook": {"post": {}}}, "paths": {
              "x-internal": [1], "/b": {"summary": "s", "parameters": [{"name": "q"}], "x-y": 1,
                "post": {"security": []}, "get": {}, "trace": {}},
              "/a/{id}": {"delete": {"servers": null}}, "/nothing": {}}}
            """
        #expect(try told(text) == ["DELETE /a/{id}", "GET /b", "POST /b"])
        #expect(try document(text).skipped == [])
    }

    @Test(
        arguments: [
            (#"[{"url": "/v1"}]"#, "/v1/a"), (#"[{"url": "/v1/"}, {"url": "/v2"}]"#, "/v1/a"), ("[]", "/a"),
            (#"[{"url": "/"}]"#, "/a"), (#"[{"url": "https://api.example.com"}]"#, "/a"),
            (#"[{"url": "https://api.example.com/v1?x#y"}]"#, "/v1/a"),
            (#"[{"url": "//api.example.com/v1"}]"#, "/v1/a"),
            (#"[{"url": "v1"}]"#, "/api/v1/a"), (#"[{"url": "../v1"}]"#, "/v1/a"), (#"[{"url": "."}]"#, "/api/a"),
            (
                #"[{"url": "{scheme}://x/{base}", "variables": {"scheme": {"default": "http"}, "base": {"default": "v3"}}}]"#,
                "/v3/a"
            ),
        ]) func theFirstServersPathIsInFront(_ servers: String, _ path: String) throws
    {
        let text = #"{"openapi": "3.0.3", "servers": \#(servers), "paths": {"/a": {"get": {}}}}"#
        #expect(try told(text, at: "/api/openapi.json") == ["GET \(path)"])
    }

    @Test func nearerServersTakeTheirPlace() throws {
        let text = """
            {"openapi": "3.0.0", "servers": [{"url": "/v1"}], "paths": {
              "/a": {"servers": [{"url": "/v2"}], "get": {}, "put": {"servers": [{"url": "/v3"}]}}, "/b": {"get": {}}}}
            """
        #expect(try told(text) == ["GET /v1/b", "GET /v2/a", "PUT /v3/a"])
    }

    /// What is small in a document would be long once for each operation.
    @Test(arguments: [
        #"[{"url": "/{a}{a}", "variables": {"a": {"default": "LONG"}}}]"#, #"[{"url": "/LONGLONG"}]"#,
    ]) func aServersURLHasABound(servers: String) throws {
        let long = String(repeating: "x", count: 600)
        let text = #"{"openapi": "3.0.3", "servers": \#(servers), "paths": {"/a": {"get": {}}}}"#
        let read = try document(text.replacing("LONG", with: long))
        #expect(read.operations.isEmpty)
        #expect(read.skipped == ["GET /a: a server's URL that is too long, or has a variable without a default"])
    }

    /// People at a terminal are told of it.
    @Test func aPathIsToldWithoutCommandsAndNotInFull() throws {
        let text = #"{"openapi": "3.0.3", "paths": {"/a\u001b]0;LONG": {"$ref": "b"}}}"#
        let read = try document(text.replacing("LONG", with: String(repeating: "x", count: 600)))
        let told = #"/a\u{1B}]0;"# + String(repeating: "x", count: 200 - 6)
        #expect(read.skipped == [told + ": a path item elsewhere ($ref)"])
    }

    @Test func whatCantBeARouteIsNamed() throws {
        let text = """
            {"openapi": "3.2.0", "paths": {"/a": {"$ref": "other.json"}, "/q": {"query": {}, "get": {}},
              "/s": {"servers": [{"url": "/{x}"}], "get": {}}}}
            """
        let read = try document(text)
        #expect(read.operations == [Document.Operation(path: "/q", method: "GET")])
        #expect(
            read.skipped
                == [
                    "/a: a path item elsewhere ($ref)",
                    "GET /s: a server's URL that is too long, or has a variable without a default",
                    "QUERY /q: a method that routes can't have",
                ].sorted())
    }

    @Test(
        arguments: [
            ("", DocumentFlaw.notJSON), ("{", .notJSON), ("<html></html>", .notJSON), ("[]", .unexpected(at: "root")),
            ("{}", .otherVersion), (#"{"swagger": "2.0", "paths": {}}"#, .otherVersion),
            (#"{"openapi": "2.0"}"#, .otherVersion), (#"{"openapi": 3}"#, .unexpected(at: "openapi")),
            (#"{"openapi": "3.1.0", "paths": []}"#, .unexpected(at: "paths")),
            (#"{"openapi": "3.1.0", "paths": {"/a": {"get": 1}}}"#, .unexpected(at: "paths./a.get")),
            (#"{"openapi": "3.1.0", "paths": {"/a": {"get": {}}"#, .notJSON),
        ]) func whatIsNoDocumentIsRefused(_ text: String, _ expected: DocumentFlaw)
    {
        #expect(flaw(Array(text.utf8)) == expected)
    }

    @Test func octetsThatAreNoTextAreRefused() {
        #expect(
            flaw(Array(#"{"openapi": "3.1.0", "paths": {"/"#.utf8) + [0xFF] + Array(#"": {"get": {}}}}"#.utf8))
                == .notJSON)
    }

    @Test func sizesAreBounded() {
        func octets(operations: Int) -> [UInt8] {
            let paths = (0..<operations).map { #""/p\#($0)": {"get": {}}"# }.joined(separator: ",")
            return Array(#"{"openapi": "3.1.0", "paths": {\#(paths)}}"#.utf8)
        }
        #expect(flaw(octets(operations: 2000)) == nil)
        #expect(flaw(octets(operations: 2001)) == .tooManyOperations)
        let empty = (0...2000).map { #""/p\#($0)": {}"# }.joined(separator: ",")
        #expect(flaw(Array(#"{"openapi": "3.1.0", "paths": {\#(empty)}}"#.utf8)) == .tooManyOperations)
        let small = octets(operations: 1)
        let blanks = [UInt8](repeating: 0x20, count: Document.mostOctets - small.count)
        #expect(flaw(small + blanks) == nil)
        #expect(flaw(small + blanks + [0x20]) == .tooLarge)
    }

    @Test func depthIsBounded() {
        func octets(depth: Int) -> [UInt8] {
            let inner = String(repeating: "[", count: depth - 1) + String(repeating: "]", count: depth - 1)
            return Array(#"{"openapi": "3.1.0", "x-a": \#(inner), "y": "[[\"[{"}"#.utf8)
        }
        #expect(flaw(octets(depth: 64)) == nil)
        #expect(flaw(octets(depth: 65)) == .tooDeep)
        #expect(flaw([UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)) == .tooDeep)
    }

    /// Whose brackets and quotes are other octets than those that are counted.
    @Test func anotherCodingThanUTF8IsRefused() {
        let text = #"{"openapi": "3.1.0", "paths": {}}"#
        for mark in [[0xFF, 0xFE], []] as [[UInt8]] {
            #expect(flaw(mark + text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }) == .notJSON)
        }
    }

    @Test func equalMembersAreHarmless() throws {
        let text = #"{"openapi": "3.1.0", "paths": {"/a": {"get": {}}, "/a": {"get": {}}}}"#
        #expect(try told(text) == ["GET /a"])
    }
}
