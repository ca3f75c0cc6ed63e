// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits
import Octets

/// Limits of all organizations and their working keys that are nearly used up: in bounded memory, however many there are.
struct QuotaSurvey {
    /// Subjects that are asked about together.
    private static let width = 64

    private let session: Session
    private let policies: [Policy]
    private let near: Percent
    private var listing: Listing

    init(_ session: Session, _ policies: [Policy], near: Percent, isJSON: Bool) {
        self.session = session
        self.policies = policies
        self.near = near
        listing = Listing(
            [
                .init(heading: "WHOSE", mayShrink: false), .init(heading: "POLICY", mayShrink: true),
                .init(heading: "USED", isNumber: true), .init(heading: "REMAINING", isNumber: true),
                .init(heading: "CAPACITY", isNumber: true), .init(heading: "NEXT CALL"), .init(heading: "FROM"),
            ], isJSON: isJSON)
    }

    mutating func run() async throws {
        var subjects: [QuotaSubject] = []
        if policies.contains(where: { $0.subject == .org }) {
            try await session.directory.forEachOrganization { organization in
                subjects.append(.organization(organization.id))
                if subjects.count == Self.width { try await flush(&subjects) }
            }
        }
        if policies.contains(where: { $0.subject == .key }) {
            var pages = KeyPages(session.directory, of: nil)
            while let page = try await pages.next() {
                for key in page where key.status == .active {
                    subjects.append(.key(key.id))
                    if subjects.count == Self.width { try await flush(&subjects) }
                }
            }
        }
        try await flush(&subjects)
        try listing.end(otherwise: "No limit is \(near.text) used.")
    }

    private mutating func flush(_ subjects: inout [QuotaSubject]) async throws {
        defer { subjects = [] }
        let (quotas, policies) = (session.quotas, policies)
        let found = try await withThrowingTaskGroup(of: (QuotaSubject, [Quota]).self) { group in
            for subject in subjects {
                group.addTask {
                    let own = policies.filter(subject.isCounted)
                    do throws(DirectoryError) {
                        return (subject, try await quotas.read(try await quotas.owner(of: subject), of: own))
                    } catch {
                        switch error {
                        // It was deleted meanwhile.
                        case .keyMissing, .organizationMissing: return (subject, [])
                        default: throw error
                        }
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for (subject, quotas) in found {
            for quota in quotas { try append(quota, of: subject) }
        }
    }

    private mutating func append(_ quota: Quota, of subject: QuotaSubject) throws {
        // Of a limit of nothing nobody has used anything.
        guard quota.capacity > 0 else { return }
        let used = (quota.capacity - quota.remaining) * 100 / quota.capacity
        guard used >= near.number else { return }
        let isEmpty = quota.remaining == 0
        // The most used first.
        let order = String(1_000_000 - used)
        try listing.append(
            sortKey: "\(order) \(subject.name) \(quota.policy.name)",
            cells: [
                Table.Cell(subject.text), Table.Cell(quota.policy.name),
                Table.Cell("\(used)%", isEmpty ? .bad : .plain), "\(quota.remaining)", "\(quota.capacity)",
                Table.Cell(quota.nextText), Table.Cell(quota.fromText),
            ], json: [("subject", subject.json), ("used_percent", .integer(used))] + quota.members)
    }
}

extension QuotaSubject {
    /// As an argument names it.
    fileprivate var text: String {
        switch self {
        case .organization(let id): id.text
        case .key(let id): id.text
        case .address, .unixPeers, .global: name
        }
    }
}

/// `80%`, or `80`.
struct Percent {
    static let usual = Percent(number: 80)

    let number: Int
    var text: String { "\(number)%" }

    private init(number: Int) {
        self.number = number
    }

    init(parsing text: String) throws {
        let digits = text.last == "%" ? text.dropLast() : text[...]
        guard digits.utf8.allSatisfy(\.isDigit), let number = Int(digits), 1...100 ~= number else {
            throw ValidationError("expected a share such as 80%, from 1% to 100%")
        }
        self.number = number
    }
}
