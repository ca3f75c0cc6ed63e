// SPDX-License-Identifier: Apache-2.0

import Keyspace
import TestSupport
import Testing

@testable import Admission
@testable import Limits

/// What the handler is told of notes, and what the log is told of those that it isn't.
@Suite struct MetaChoiceTests {
    private let log = RecordedLog()

    private func told(
        _ names: [String] = ["tier", "seat"], key: String? = nil, organization: String? = nil
    ) throws -> [String]? {
        try told(names, key: key, organization: organization, Complaints(about: [], to: log.logger))
    }

    private func told(
        _ names: [String] = ["tier", "seat"], key: String? = nil, organization: String? = nil,
        _ complaints: Complaints
    ) throws -> [String]? {
        let stub = try KeyEntry.stub()
        var (record, loaded) = (stub.record, stub.organization.record)
        record.meta = key
        loaded.meta = organization
        let choice = MetaChoice(names.compactMap { MetaField($0) }, complaints)
        // However often it is read.
        _ = choice.values(of: record, stub.principal, in: loaded)
        return choice.values(of: record, stub.principal, in: loaded)?.map { "\($0.field.name)=\($0.value)" }
    }

    @Test func aKeysWinsOverItsOrganizations() throws {
        let common = #"{"tier":"gold","seat":"reader"}"#
        #expect(try told(organization: common) == ["tier=gold", "seat=reader"])
        #expect(try told(key: #"{"tier":1}"#, organization: common) == ["tier=1", "seat=reader"])
        #expect(try told(key: #"{"tier":null}"#, organization: common) == ["seat=reader"])
        // No word of the organization's in place of the key's own that can't be said.
        #expect(try told(key: #"{"tier":["x"]}"#, organization: common) == ["seat=reader"])
    }

    @Test func nothingIsNil() throws {
        #expect(try told() == nil)
        #expect(try told([], key: #"{"tier":"gold"}"#) == nil)
        #expect(try told(key: "", organization: "") == nil)
        #expect(try told(key: #"{"other":"gold"}"#) == nil)
        #expect(log.lines.isEmpty)
    }

    @Test(arguments: [
        (#"{"tier":"a b"}"#, "not 1 to 256 visible ASCII characters"),
        (#"{"tier":""}"#, "not 1 to 256 visible ASCII characters"),
        (#"{"tier":"a\r\nX-Evil: 1"}"#, "not 1 to 256 visible ASCII characters"),
        (#"{"tier":"é"}"#, "not 1 to 256 visible ASCII characters"), (#"{"tier":{"a":1}}"#, "an object or a list"),
    ])
    func whatCannotBeSaidIsLeftOutAndLogged(text: String, reason: String) throws {
        #expect(try told(key: text, organization: #"{"seat":"reader"}"#) == ["seat=reader"])
        #expect(
            log.lines == [
                "warning meta left out: the handler is not told this one name=tier owner=acme/laptop reason=\(reason)"
            ])
    }

    /// As somebody else may have written it.
    @Test func whatCannotBeReadIsLeftOutAndLogged() throws {
        // It may have said another seat.
        #expect(try told(key: "gold", organization: #"{"seat":"reader"}"#) == nil)
        #expect(
            log.lines == [
                "warning meta left out: expected a JSON object of at most 1024 bytes owner=acme/laptop reason=it is no JSON at offset 0"
            ])
    }

    @Test func anOrganizationsThatCannotBeReadHidesNoKeys() throws {
        #expect(try told(key: #"{"tier":"gold"}"#, organization: "x") == ["tier=gold"])
    }

    /// However many of them there are: one of a lost record is said all the same.
    @Test func manyNotesHideNoError() throws {
        let complaints = Complaints(about: [], to: log.logger)
        for number in 0..<1_000 {
            complaints.noteUnsayable(try #require(MetaField("tier")), of: "acme/\(number)", "an object or a list")
        }
        #expect(log.lines.count == 256)
        complaints.noteLost("acme/lost")
        complaints.noteMissing(plan: "pro")
        for number in 0..<1_000 { complaints.noteMissing(plan: "p\(number)") }
        complaints.noteTooLong("acme/long", 9_999)
        let others = log.lines.dropFirst(256)
        #expect(others.first?.hasPrefix("error record lost") == true)
        #expect(others.last?.hasPrefix("error record refused: too long") == true)
        #expect(others.count == 258)
    }
}
