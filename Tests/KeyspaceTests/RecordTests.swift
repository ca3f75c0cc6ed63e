// SPDX-License-Identifier: Apache-2.0

import AdmissionSupport
import Redis
import Testing
@testable import Keyspace
@testable import Limits

@Suite struct RecordTests {
    private func fields(_ texts: [String?]) -> [RedisReply] {
        texts.map { $0.map { .bytes(Array($0.utf8)) } ?? .null }
    }

    private func key(
        notBefore: String? = nil, expires: String? = nil, revoked: String? = nil, active: String? = "1",
        subject: String? = "7h3kq2mzxb", tools: String? = nil, scopes: String? = nil, networks: String? = nil
    ) -> KeyRecord? {
        KeyRecord(
            fields(["ab", active, subject, notBefore, expires, revoked, "search=5/s", tools, scopes, networks, nil]))
    }

    @Test func readsTimesAsUnixSeconds() throws {
        let record = try #require(key(notBefore: "100", expires: "200"))
        #expect(record.validFrom == 100_000_000)
        #expect(record.validUntil == 200_000_000)
        #expect(record.isBounded)
        #expect(!record.endsByRevocation)
        #expect(record.overrides.allowances == ["search": .rate(Limit(count: 5, periodMicroseconds: 1_000_000))])
    }

    @Test(arguments: [nil, "", "0"] as [String?])
    func takesAbsentEmptyAndZeroForNone(text: String?) throws {
        let record = try #require(key(notBefore: text, expires: text, revoked: text))
        #expect(record.validFrom == 0)
        #expect(record.validUntil == KeyRecord.never)
        #expect(!record.isBounded)
    }

    @Test func endsAtTheFirstOfExpiryAndRevocation() throws {
        let revokedFirst = try #require(key(expires: "200", revoked: "150"))
        #expect(revokedFirst.validUntil == 150_000_000)
        #expect(revokedFirst.endsByRevocation)
        let expiresFirst = try #require(key(expires: "100", revoked: "150"))
        #expect(expiresFirst.validUntil == 100_000_000)
        #expect(!expiresFirst.endsByRevocation)
    }

    @Test(arguments: ["x", "-5", "1.5", "1e9", " 7"])
    func isNoKeyWhereItsEndCannotBeRead(text: String) {
        #expect(key(expires: text) == nil)
        #expect(key(notBefore: text) == nil)
        #expect(key(revoked: text) == nil)
    }

    @Test(arguments: ["a  b", " a", "a ", "a\"b", "a\\", "\u{e4}", String(repeating: "x", count: 129)])
    func isNoKeyWhereItsScopesCannotBeRead(text: String) {
        #expect(key(scopes: text) == nil)
    }

    @Test(arguments: ["10.0.0.0/33", "10.0.0.1/8", "anywhere", "10.0.0.0/8  ::1", "Unix"])
    func isNoKeyWhereItsNetworksCannotBeRead(text: String) {
        #expect(key(networks: text) == nil)
    }

    @Test func scopesAndNetworksReadBack() throws {
        let record = try #require(key(scopes: "b a:read", networks: "unix 10.0.0.0/8 2001:db8::1"))
        #expect(record.scopes.text == "a:read b")
        #expect(record.scopes.missing(of: ["c", "b", "c", "d"]) == ["c", "d"])
        #expect(record.networks.text == "10.0.0.0/8 2001:db8::1/128 unix")
        #expect(record.networks.permit(IPAddress("10.1.2.3"), isUnix: false))
        #expect(!record.networks.permit(IPAddress("11.1.2.3"), isUnix: true))
        #expect(record.networks.permit(nil, isUnix: true))
        #expect(!record.networks.permit(nil, isUnix: false))
        let free = try #require(key(scopes: "", networks: ""))
        #expect(free.networks.isUnrestricted)
        #expect(free.networks.permit(nil, isUnix: false))
        #expect(free.scopes.tokens.isEmpty)
    }

    @Test func isNoKeyWithoutHashOrSubject() {
        #expect(KeyRecord(fields([nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil])) == nil)
        #expect(KeyRecord(fields(["ab", "1", nil, nil, nil, nil, nil, nil, nil, nil, nil])) == nil)
        #expect(key(subject: "") == nil)
        #expect(KeyRecord([]) == nil)
    }

    @Test(arguments: [("1", true), ("0", false), ("true", false), ("", false), (nil, false)] as [(String?, Bool)])
    func isActiveByTheOneSpelling(text: String?, isActive: Bool) throws {
        #expect(try #require(key(active: text)).isActive == isActive)
    }

    @Test func aKeyMayCallTheToolsItsRecordSays() throws {
        #expect(try #require(key()).tools.isUnrestricted)
        let record = try #require(key(tools: "search !db_drop"))
        #expect(record.tools.permits(Array("search".utf8)) && !record.tools.permits(Array("db_drop".utf8)))
        // The key holds, for what is no tool.
        #expect(try #require(key(tools: " ")).tools.permits(Array("search".utf8)) == false)
    }

    @Test func anOrganizationIsSuspendedUnlessItIsActive() throws {
        #expect(try #require(OrganizationRecord(fields(["ab", "active", nil, nil, nil, nil]))).isSuspended == false)
        #expect(try #require(OrganizationRecord(fields(["ab", "suspended", nil, nil, nil, nil]))).isSuspended)
        #expect(try #require(OrganizationRecord(fields(["ab", nil, nil, nil, nil, nil]))).isSuspended)
        #expect(OrganizationRecord(fields([nil, "active", nil, nil, nil, nil])) == nil)
    }

    /// One that nobody has counted yet, or whose count is none, begins at the beginning.
    @Test(
        arguments: [("1764410000123", 1_764_410_000_123), ("7", 7), (nil, 0), ("", 0), ("many", 0)] as [(String?, Int)])
    func changesAreCounted(text: String?, generation: Int) throws {
        let record = try #require(OrganizationRecord(fields(["ab", "active", nil, nil, text, nil])))
        #expect(record.generation == generation)
    }

    @Test(arguments: ["acme", "acme ", " x", "a b c", ""])
    func aPointerIsTwoWords(text: String) {
        #expect(RecordPointer(.bytes(Array(text.utf8))) == nil)
    }

    @Test func aPointerNamesTheKeyAsItIsPrinted() throws {
        let pointer = try #require(RecordPointer(.bytes(Array("acme 7h3kq2mzxb".utf8))))
        #expect(pointer.principal == Principal(organization: "acme", keyID: "acme/7h3kq2mzxb"))
        #expect(RecordPointer(.null) == nil)
    }

    @Test func brokenOverridesDontLiftTheOthers() {
        let overrides = LimitOverrides(parsing: "search=100/10s org=oops x Y=1/s =1/s org=50/10s:80 big=1/d:1000000")
        #expect(
            overrides.allowances == [
                "search": .rate(Limit(count: 100, periodMicroseconds: 10_000_000)),
                "org": .rate(Limit(count: 50, periodMicroseconds: 10_000_000, burst: 80)),
            ])
        #expect(overrides.malformed == ["org=oops", "x", "Y=1/s", "=1/s", "big=1/d:1000000"])
    }

    @Test func namesAreThoseOfTheContract() {
        let names = Names(namespace: "tg")
        #expect(names.instance == "tg:1:{:m}:meta")
        #expect(names.organization("acme") == "tg:1:{acme}")
        func policy(_ name: String, _ allowance: Allowance) -> Policy { Policy(name: name, per: .org, allowance) }
        let (rate, quota, slots) = (
            policy("org", .rate(Limit(count: 1, periodMicroseconds: 1))),
            policy("monthly", .quota(CalendarQuota(count: 1, per: .month))), policy("streams", .concurrency(4))
        )
        #expect(names.bucket(rate, ofOrganization: "acme") == "tg:1:{acme}:b:org")
        #expect(names.bucket(quota, ofKey: "7h3kq2mzxb", in: "acme") == "tg:1:{acme}:q:monthly:7h3kq2mzxb")
        #expect(names.bucket(slots, ofAddress: "203.0.113.9") == "tg:1:{a:203.0.113.9}:c:streams")
        #expect(names.globalBucket(rate) == "tg:1:{:g}:b:org")
        #expect(names.planRevision == "tg:1:{:m}:plans")
        #expect(names.plan("pro") == "tg:1:{:m}:plan:pro")
        #expect(
            names.credential(CredentialHash(of: Array("abc".utf8)))
                == "tg:1:cred:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }
}
