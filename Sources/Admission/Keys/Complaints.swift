// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Limits
import Logging

/// What is wrong with records and plans as this configuration reads them: said once each, to a bound, since the texts come
/// from Redis. Each kind has a bound of its own, so that what many notes have wrong hides no lost record.
final class Complaints {
    private static let most = 256

    private enum Kind { case error, warning, meta }

    private let policies: [Policy]
    private let logger: Logger
    private var said: [Kind: Set<String>] = [:]
    /// Overrides that don't fit, each time a record or a plan with one is read.
    private(set) var overridesIgnored = 0
    private var retreats = 0

    init(about policies: [Policy], to logger: Logger) {
        self.policies = policies
        self.logger = logger
    }

    private func once(_ kind: Kind, _ text: String, _ say: () -> Void) {
        guard said[kind, default: []].count < Self.most, said[kind, default: []].insert(text).inserted else { return }
        say()
    }

    /// - Parameters:
    ///   - owner: a key's id, or an organization's name.
    ///   - length: octets, of which it may have `RecordBounds.measured`.
    func noteTooLong(_ owner: String, _ length: Int64) {
        once(.error, "length of \(owner)") {
            logger.error(
                "record refused: too long",
                metadata: ["owner": "\(owner)", "octets": "\(length)", "octets.most": "\(RecordBounds.measured)"])
        }
    }

    /// - Parameter key: its id, by a pointer that leads nowhere.
    func noteLost(_ key: String) {
        once(.error, "loss of \(key)") {
            logger.error("record lost: Redis has the credential and not its record", metadata: ["key_id": "\(key)"])
        }
    }

    /// Keys with a right check, and none of them a key.
    func noteProvenJunk() {
        once(.error, "proven junk") {
            logger.error(
                "many keys have a right check and are none: whoever sends them has a secret of keys' checks; replace it"
            )
        }
    }

    /// To be called once a process.
    ///
    /// - Parameter key: its id, of which a record says that it holds, though it was seen revoked.
    func noteForgottenRevocation(_ key: String) {
        logger.error(
            "revocation forgotten: the database has gone back in time; the key stays refused here, and is revoked anew",
            metadata: ["key_id": "\(key)"])
    }

    /// To be called once a process and retreat; a failover may take something from every organization.
    ///
    /// - Parameter changes: of the organization and its keys, seen here and lost since.
    func noteWentBack(_ organization: String, _ changes: Int) {
        guard retreats < Self.most else { return }
        retreats += 1
        logger.error(
            "the database went back: changes of an organization that were seen here are lost",
            metadata: ["organization": "\(organization)", "changes": "\(changes)"])
    }

    func noteTooLong(plan: String, _ length: Int64) {
        once(.error, "length of plan \(plan)") {
            logger.error(
                "plan refused: too long",
                metadata: ["plan": "\(plan)", "octets": "\(length)", "octets.most": "\(RecordBounds.rules)"])
        }
    }

    /// What an operator noted, and no field can say.
    ///
    /// - Parameters:
    ///   - owner: a key's id, or an organization's name.
    ///   - why: of a fixed list.
    func noteUnsayable(_ field: MetaField, of owner: String, _ why: String) {
        once(.meta, "meta \(field.name) of \(owner)") {
            logger.warning(
                "meta left out: the handler is not told this one",
                metadata: ["owner": "\(owner)", "name": "\(field.name)", "reason": "\(why)"])
        }
    }

    func noteUnreadableMeta(of owner: String, _ flaw: Meta.Flaw) {
        once(.meta, "meta of \(owner)") {
            logger.warning(
                "meta left out: expected a JSON object of at most 1024 bytes",
                metadata: ["owner": "\(owner)", "reason": "\(flaw)"])
        }
    }

    func noteMissing(plan: String) {
        once(.warning, "plan \(plan)") {
            logger.warning("no such plan: going by the configuration", metadata: ["plan": "\(plan)"])
        }
    }

    /// Overrides that no policy here can use.
    ///
    /// - Parameter fits: whose buckets the owner may have others of.
    func noteMisfits(_ overrides: LimitOverrides, of owner: String, where fits: (Policy.Subject) -> Bool) {
        for entry in overrides.malformed {
            overridesIgnored += 1
            once(.warning, "\(owner) \(entry)") {
                logger.warning(
                    "override ignored: not of the form policy=LIMIT",
                    metadata: ["owner": "\(owner)", "override": "\(entry)"])
            }
        }
        for (name, allowance) in overrides.allowances.sorted(by: { $0.key < $1.key }) {
            let policy = policies.first { $0.name == name }
            guard policy.map({ fits($0.subject) && $0.allowance.kind == allowance.kind }) != true else { continue }
            overridesIgnored += 1
            once(.warning, "\(owner) \(name)") {
                logger.warning(
                    policy == nil
                        ? "override ignored: no such policy here"
                        : policy?.allowance.kind == allowance.kind
                            ? "override ignored: its owner doesn't own the bucket"
                            : "override ignored: the policy is of another kind",
                    metadata: ["owner": "\(owner)", "policy": "\(name)"])
            }
        }
    }
}
