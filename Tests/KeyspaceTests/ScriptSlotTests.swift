// SPDX-License-Identifier: Apache-2.0

import Foundation
import Redis
import Testing
@testable import Keyspace
@testable import Limits

/// A cluster refuses a script whose keys lie in several hash slots.
@Suite struct ScriptSlotTests {
    private typealias Call = (script: RedisScript, keys: [String])

    private static let names = Names(namespace: "tg")
    private static let (organization, keys) = (names.organization("acme"), names.keys("acme"))
    private static let (active, unfinished) = (names.activeKeys("acme"), names.unfinishedKeys("acme"))
    private static let (audit, plan) = (names.audit("acme"), names.plan("pro"))
    private static let ended = names.endedKeys("acme")
    private static let credential = names.credential(CredentialHash(of: Array("mcp_laptop".utf8)))
    private static let records = ["7h3kq2mzxb", "aaaaaaaaaa", "bbbbbbbbbb"].map { id in
        "\(organization):k:\(id)"
    }

    private static func bucket(_ policy: String, _ subject: Policy.Subject, _ allowance: Allowance) -> String {
        let policy = Policy(name: policy, per: subject, allowance)
        return switch subject {
        case .org: names.bucket(policy, ofOrganization: "acme")
        case .key: names.bucket(policy, ofKey: "7h3kq2mzxb", in: "acme")
        case .address: names.bucket(policy, ofAddress: "2001:db8:0:1::/64")
        case .global: names.globalBucket(policy)
        }
    }

    private static let rate = Allowance.rate(Limit(count: 5, periodMicroseconds: 1_000_000))
    private static let own = [
        bucket("rate", .org, rate), bucket("daily", .key, .quota(CalendarQuota(count: 5, per: .day))) + ":20261123",
        bucket("calls", .key, .concurrency(5)),
    ]
    private static let others = [bucket("address", .address, rate), bucket("all", .global, rate)]

    private static let (withRecords, withUsage) = (
        [organization] + records, [organization, names.usage("acme", day: 20_000)] + records
    )
    private static let session = names.session(SessionHash(of: [1]), of: "acme")
    private static let admitted = [organization, session] + own + others
    private static let charged = own + others

    /// Every script there is, with the keys that whoever calls it gives it.
    private static let calls: [Call] = onTheWay + ofOrganizations + ofNoOrganization

    private static let onTheWay: [Call] = [
        (.lookup, [credential]), (.load, withRecords), (.usage, withUsage), (.session, [session]), (.renew, [own[2]]),
        (.release, [own[2]]), (.instance, [names.instance, names.guarded]), (.plan, [names.planRevision, plan]),
        (.admit, admitted),
        (.correct, charged),
    ]
    private static let ofOrganizations: [Call] = [
        (.findKey, [credential]), (.placePointer, [credential]), (.removePointer, [credential]),
        (.createOrganization, [organization, audit]), (.changeOrganization, [organization, audit]),
        (.describeOrganization, [organization, keys, active]), (.markDeleted, [organization]),
        (.deleteOrganization, [organization]), (.readLimits, [records[0]]), (.describeKeys, withRecords),
        (.listKeys, [keys]),
        (.limitKey, [organization, audit, records[0], records[1]]), (.readQuotas, own),
        (.noteTold, [records[0], audit]), (.changeKey, [organization, records[0], audit]),
        (.issueKey, [organization, records[0], keys, active, unfinished]),
        (.finishIssue, [organization, unfinished, audit]),
        (.removeUnfinished, [records[0], keys, active, unfinished, records[1]]),
        (.revokeKey, [organization, records[0], active, audit, records[1]]),
        (.rotateKey, [organization, records[0], records[1], keys, unfinished, records[2]]),
        (.finishRotation, [organization, records[0], records[1], active, unfinished, audit]),
        (.findEnded, records), (.removeEnded, [organization, records[0], keys, active, audit, ended]),
        (.countExpiring, [organization, active]),
        (.importKeys, [organization, keys, active, unfinished, ended] + records),
        (.reviewImport, [organization, keys, active, unfinished, ended] + records),
        (.finishImport, [organization, unfinished, audit]),
    ]
    private static let ofNoOrganization: [Call] = [
        (.adoptDatabase, [names.instance, names.planAudit]), (.checkSecrets, [names.checkSecrets]),
        (.addCheckSecret, [names.checkSecrets, names.planAudit]),
        (.retireCheckSecret, [names.checkSecrets, names.planAudit]),
        (.clock, []), (.setPlan, [plan, names.planRevision, names.planAudit]),
        (.deletePlan, [plan, names.planRevision, names.planAudit]), (.describePlan, [plan]),
        (.beat, [names.instance, names.policySet("h"), names.sidecars, names.routeSet("h")]),
        (.publishRoutes, [names.instance, names.routeSet("h")]), (.retire, [names.sidecars]),
        (.listSidecars, [names.sidecars]), (.lockRetention, [names.instance, names.retentionLock]),
        (.publishExpiring, [names.instance, names.retentionLock, names.expiringKeys]),
    ]
    /// One server takes address, global and organization's keys together; on a cluster they are paid slot by slot
    /// (`SlotBySlotTests`).
    private static let paidSlotBySlot: Set<String> = ["admit", "correct"]

    @Test func everyScriptsKeysLieInOneHashSlot() {
        for (script, keys) in Self.calls {
            let slots = Set(keys.map { HashSlot(of: $0) })
            #expect(Self.paidSlotBySlot.contains(script.name) ? slots.count > 1 : slots.count <= 1, "\(script.name)")
        }
    }

    /// Else a script that is added would be in no hash slot that anybody looks at.
    @Test func everyScriptIsAmongThem() throws {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        var found: Set<String> = []
        for case let file as URL in files where file.pathExtension == "swift" {
            let matches = try String(contentsOf: file, encoding: .utf8).matches(of: /RedisScript\(\s*name: "([^"]+)"/)
            found.formUnion(matches.map { String($0.1) })
        }
        #expect(found == Set(Self.calls.map(\.script.name)))
        #expect(found.count == Self.calls.count)
    }

    /// Those that make something which others have to find, or which callers could make without end: nobody is served worse
    /// for it where memory is full.
    @Test func theseAreRefusedWhereMemoryIsFull() {
        let refused = Self.calls.map(\.script).filter { !$0.source.hasPrefix("#!lua flags=allow-oom\n") }.map(\.name)
        #expect(
            Set(refused) == [
                "usage", "create-organization", "issue-key", "finish-issue", "place-pointer", "rotate-key",
                "finish-rotation", "publish-expiring", "adopt-database", "set-plan", "add-check-secret",
                "import-keys", "finish-import",
            ])
    }

    /// What a script reads or writes of a record by its name is one of the fields in the table.
    @Test func everyFieldIsInTheTable() {
        let table = Set(
            KeyField.allCases.map(\.rawValue) + OrganizationField.allCases.map(\.rawValue)
                + PlanField.allCases.map(\.rawValue))
        let pattern = /redis\.call\('(H[A-Z]+)', ([^()]*(?:\([^()]*\)[^()]*)*)\)/
        var named: Set<String> = []
        for (script, _) in Self.calls {
            for call in script.source.matches(of: pattern) {
                let arguments = call.2.split(separator: ", ").dropFirst()
                let fields =
                    ["HSET", "HSETNX"].contains(call.1)
                    ? arguments.enumerated().filter { $0.offset % 2 == 0 }.map(\.element) : Array(arguments)
                let literals = fields.map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
                    .filter { $0.hasPrefix("'") && $0.hasSuffix("'") }.map { String($0.dropFirst().dropLast()) }
                #expect(table.isSuperset(of: literals), "\(script.name): \(literals)")
                named.formUnion(literals)
            }
        }
        #expect(
            named.isSuperset(of: ["rev", "status", "is_active", "revoked_at", "rotated_to", "limits", "last_used_at"]))
    }
}
