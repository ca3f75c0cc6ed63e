// SPDX-License-Identifier: Apache-2.0

/// Who calls most and who is denied most, on one loop.
///
/// Counted by spans of 7½ minutes: what is told is of the present one and the one before, so of 7½ to 15 minutes.
package struct CallerCounts: Sendable {
    static let span = TrafficHistory.length / 2

    /// A key, which is no secret by its id.
    struct Caller: Sendable, Hashable {
        var key: String
        var organization: String

        /// The id begins with the organization's.
        static func == (one: Caller, other: Caller) -> Bool { one.key == other.key }

        func hash(into hasher: inout Hasher) { hasher.combine(key) }
    }

    /// How it stands, for others to read.
    package struct Standing: Sendable {
        struct Span: Sendable {
            var callers: HeavyHitters<Caller>.Standing
            var organizations: HeavyHitters<String>.Standing
            var denied: HeavyHitters<Caller>.Standing
            var deniedOrganizations: HeavyHitters<String>.Standing
        }

        /// Where the former span begins, in seconds since 1970.
        var since: Int
        var present: Span
        var former: Span
    }

    private struct Span: Sendable {
        var callers = HeavyHitters<Caller>()
        var organizations = HeavyHitters<String>()
        var denied = HeavyHitters<Caller>()
        var deniedOrganizations = HeavyHitters<String>()

        var standing: Standing.Span {
            Standing.Span(
                callers: callers.standing, organizations: organizations.standing, denied: denied.standing,
                deniedOrganizations: deniedOrganizations.standing)
        }

        mutating func empty() {
            callers.empty()
            organizations.empty()
            denied.empty()
            deniedOrganizations.empty()
        }
    }

    /// In which rows of the tables a caller was found last. A hint: who has come meanwhile may have taken them.
    private struct Rows: Sendable {
        var caller = 0
        var organization = 0
        var denied = 0
        var deniedOrganization = 0
    }

    private var number: Int
    private var present = Span()
    private var former = Span()
    /// By ``slot(of:)``.
    private var rows = [Rows](repeating: Rows(), count: Self.slotCount)
    /// How often it has changed.
    package private(set) var version = 0

    package init(at second: Int) {
        number = second / Self.span
    }

    /// Where the former span begins, seen from a second.
    static func since(at second: Int) -> Int { (second / span - 1) * span }

    package var standing: Standing {
        Standing(since: (number - 1) * Self.span, present: present.standing, former: former.standing)
    }

    package mutating func count(organization: String, key: String, isDenied: Bool) {
        version += 1
        let caller = Caller(key: key, organization: organization)
        let slot = Self.slot(of: key)
        var rows = self.rows[slot]
        rows.caller = present.callers.count(caller, near: rows.caller)
        rows.organization = present.organizations.count(organization, near: rows.organization)
        if isDenied {
            rows.denied = present.denied.count(caller, near: rows.denied)
            rows.deniedOrganization = present.deniedOrganizations.count(organization, near: rows.deniedOrganization)
        }
        self.rows[slot] = rows
    }

    private static let slotCount = 256

    /// The last letters of an id are random.
    private static func slot(of key: String) -> Int {
        key.utf8.withContiguousStorageIfAvailable { octets in
            var slot = 0
            for octet in octets.suffix(4) { slot = slot &* 37 &+ Int(octet) }
            return slot & (slotCount - 1)
        } ?? 0
    }

    /// To be called each second.
    package mutating func advance(to second: Int) {
        let next = second / Self.span
        guard next > number else { return }
        swap(&former, &present)
        present.empty()
        if next > number + 1 { former.empty() }
        number = next
        version += 1
    }
}
