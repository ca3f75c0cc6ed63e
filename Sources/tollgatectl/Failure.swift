// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Endpoints
import Keyspace
import Octets
import Redis

/// Why a command ends with something else than 0: one line for people, a code of sysexits.h for programs.
struct Failure: Error, Equatable {
    enum Code: Int32 {
        case badData = 65
        case notFound = 66
        case unavailable = 69
        case refused = 73
        case outputLost = 74
        case tryAgain = 75
        case notPermitted = 77
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Prints the line and gives the parser the code to end with.
    func report() -> ExitCode {
        Output.note("tollgatectl: \(message)")
        return ExitCode(code.rawValue)
    }
}

extension Failure {
    init(_ error: DirectoryError, at endpoint: RedisEndpoint) {
        switch error {
        case .organizationExists(let name):
            self.init(.refused, "organization \(name) exists already")
        case .organizationMissing(let name):
            self.init(.notFound, "organization \(name) does not exist; create it with: tollgatectl org create \(name)")
        case .keyMissing(let id):
            self.init(.notFound, "key \(id) does not exist")
        case .tooManyActiveKeys(let name, let maximum):
            self.init(
                .refused,
                "organization \(name) has \("active key".counted(maximum)), the most it may have; revoke one with: "
                    + "tollgatectl key revoke ID; or let it have more with: tollgatectl org set \(name) --max-active-keys "
                    + "\(maximum + 1)")
        case .expiryInThePast:
            self.init(.badData, "--expires: expected a moment in the future")
        case .lifetimeTooLong(let name, let seconds):
            self.init(
                .refused,
                "keys of organization \(name) live at most \(Lifetime.text(seconds)), and this one would live longer; give "
                    + "--expires \(Lifetime.text(seconds)), or let them live longer with: tollgatectl org set \(name) "
                    + "--max-lifetime TIME")
        case .neverValid:
            self.init(.badData, "--not-before: expected a moment before the key's end")
        case .endsBeforeItBegins(let id):
            self.init(
                .badData,
                "the new key would end before key \(id) begins to be valid; give a later --expires, or replace it once it has "
                    + "begun")
        case .keyEnded(let id, let how):
            self.init(
                .refused, "key \(id) is \(how), so there is nothing to replace; issue one with: tollgatectl key issue")
        case .keyRotating(let id, let new):
            let replacement = new.map { " by \($0)" } ?? ""
            self.init(
                .refused,
                "key \(id) was replaced already\(replacement) and works until its grace is over; to end it now: "
                    + "tollgatectl key revoke \(id)")
        case .keyInGrace(let old, let id):
            self.init(
                .refused,
                "key \(id) has replaced \(old), which works until its grace is over; before the next replacement, end "
                    + "that with: tollgatectl key revoke \(old)")
        case .rulesTooLong(let owner, let octets, let longest):
            let field = longest.map { ", most of them \($0)" } ?? ""
            self.init(
                .badData,
                "\(owner) would have \(octets) bytes of rules\(field); limits, tools, scopes and networks may have "
                    + "\(RecordBounds.rules) together, so use patterns such as db_*, or several keys")
        case .labelTooLong(let field):
            self.init(.badData, "the \(field) of a key has at most \(RecordBounds.label) bytes")
        case .planMissing(let name):
            self.init(.notFound, "plan \(name) does not exist; make it with: tollgatectl plan set \(name) org=100/10s")
        case .planInUse(let name, let users):
            let shown = users.sorted().prefix(5).joined(separator: ", ") + (users.count > 5 ? ", …" : "")
            let (verb, object) = users.count == 1 ? ("is", "it") : ("are", "them")
            self.init(
                .refused,
                "\("organization".counted(users.count)) \(verb) on plan \(name) (\(shown)); move \(object) with: tollgatectl "
                    + "org plan NAME PLAN")
        case .checkSecretMissing(let id):
            self.init(.notFound, "there is no secret \(id); see those there are with: tollgatectl check list")
        case .tooManyCheckSecrets(let most):
            self.init(
                .refused,
                "there are \(most) secrets, the most there may be; retire one with: tollgatectl check retire ID")
        case .checkSecretRetired(let id):
            self.init(
                .tryAgain,
                "the secret \(id) was retired while the key was being made with it; there is no such key, try again")
        case .unreadableCheckSecrets:
            self.init(
                .badData,
                "a line of the secrets that checks of keys are made with can't be read: restore the string <namespace>:1:{:m}:checks, "
                    + "or delete it with redis-cli, after which keys issued before are unproven")
        case .noCheckSecret:
            self.init(
                .refused,
                "the sidecars refuse keys without a right check (keys.check: require), and there is no secret to make one with; "
                    + "with it, keys that were issued before are refused: see tollgatectl key list --unproven, then make one with "
                    + "tollgatectl check rotate")
        case .unsettledCheckSecret(let id):
            self.init(
                .tryAgain,
                "not every sidecar has the secret \(id) yet, and one that hasn't refuses keys made with it; try again in "
                    + "\(StoredCheckSecret.settling) seconds")
        case .busy:
            self.init(.unavailable, "others changed the same thing at the same time; try again")
        case .databaseTorn(let ids):
            let shown = ids.isEmpty ? "none shows an id" : "they show \(ids.map(\.printable).joined(separator: ", "))"
            self.init(
                .refused,
                "parts of the cluster belong to different databases, or have lost their keys (\(shown)); restore what is lost, "
                    + "or have it adopted with: tollgatectl database adopt ID")
        case .unexpectedReply:
            self.init(.unavailable, "\(endpoint) gave an answer that makes no sense; is it Redis 7 or later?")
        case .redis(let error):
            self.init(error, at: endpoint)
        }
    }

    init(_ error: RedisError, at endpoint: RedisEndpoint) {
        guard endpoint.isServer || !error.mayBeFailover else {
            let reason = error.fault == .replica ? "the primary is one no more" : "\(error)"
            self.init(.tryAgain, "\(endpoint): \(reason); a failover may be under way, try again")
            return
        }
        guard let code = error.serverCode else {
            self.init(.unavailable, Self.text(ofTransport: error, at: endpoint))
            return
        }
        switch error.fault {
        case .credentials where code == "NOAUTH":
            self.init(
                .notPermitted,
                "\(endpoint) asks for a password; give it in TOLLGATE_REDIS_PASSWORD, or in a file that TOLLGATE_REDIS_PASSWORD_FILE names"
            )
        case .credentials:
            self.init(
                .notPermitted,
                "\(endpoint) refused user or password; check TOLLGATE_REDIS_URL and TOLLGATE_REDIS_PASSWORD")
        case .permissions:
            self.init(.notPermitted, "\(endpoint) does not permit this to the user of the URL: \(error.line)")
        case .replica:
            self.init(
                .unavailable,
                "\(endpoint) is a replica and may be behind; name its primary with --redis or TOLLGATE_REDIS_URL")
        case .memory:
            self.init(
                .unavailable, "\(endpoint) has no memory left for it (maxmemory); nothing was changed, give it more")
        case .unreachable, .notRedis, .encrypted, .untrusted, .certificate, .handshake, .tooOld, .sentinel,
            .primaryUnknown, .clusterNode, .noCluster, .mapUnknown, .busy, .persistence, .clients, .database, .other:
            self.init(.unavailable, "\(endpoint) answered \(code): \(error.line)")
        }
    }

    private static func text(ofTransport error: RedisError, at endpoint: RedisEndpoint) -> String {
        switch error {
        case .notConnected(let reason):
            "Redis is not reachable at \(endpoint) (\(reason)); start it, or name another with --redis or "
                + "TOLLGATE_REDIS_URL"
        case .timeout, .connectionClosed:
            "\(endpoint) did not answer (\(error)); what was asked may have been done all the same: look before you "
                + "repeat it"
        case .protocolViolation:
            "what answers at \(endpoint) is not Redis (\(error)); check --redis or TOLLGATE_REDIS_URL"
        case .unfit(let misfit): "\(endpoint) can't be used: \(misfit)"
        case .server, .overloaded, .shutdown: "\(endpoint): \(error)"
        }
    }
}

extension RedisEndpoint {
    /// Neither sentinels nor a cluster would make another server the primary.
    fileprivate var isServer: Bool { sentinels == nil && seeds == nil }
}

extension RedisError {
    /// Where sentinels or a cluster are asked it ends by itself, once they name another primary.
    fileprivate var mayBeFailover: Bool {
        if case .unfit(.failingOver) = self { return true }
        return fault == .replica
    }

    /// What the server said, without its code.
    fileprivate var line: String {
        guard case .server(let line) = self, let code = serverCode else { return "\(self)" }
        return String(line.dropFirst(code.count + 1)).printable
    }
}
