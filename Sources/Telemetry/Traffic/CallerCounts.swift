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

    private var number: Int
    private var present = Span()
    private var former = Span()
    /// How often it has changed.
    package private(set) var version = 0

    package init(at second: Int) {
        number = second / Self.span
    }

    package var standing: Standing {
        Standing(since: (number - 1) * Self.span, present: present.standing, former: former.standing)
    }

    package mutating func count(organization: String, key: String, isDenied: Bool) {
        version += 1
        let caller = Caller(key: key, organization: organization)
        present.callers.count(caller)
        present.organizations.count(organization)
        guard isDenied else { return }
        present.denied.count(caller)
        present.deniedOrganizations.count(organization)
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
