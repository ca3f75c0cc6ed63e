// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Keyspace
import Limits
import Octets
import Settings

/// Where the secrets of checks are, if they aren't in Redis.
struct CheckFileOption: ParsableArguments {
    private static let variable = "TOLLGATE_CHECK_FILE"

    @Option(
        help: ArgumentHelp(
            "The sidecars' keys.check_file, where they have one; TOLLGATE_CHECK_FILE, or that of --config, where nothing is said.",
            valueName: "path"))
    var checkFile: String?

    /// What keys are to be made with; nil where the sidecars know of no checks, or nobody has the secrets here.
    func issuingSecret(by inForce: KeyTermsInForce, _ session: Session) async throws -> IssuingSecret? {
        guard inForce.terms.check != .off else { return nil }
        let isRequired = inForce.terms.check == .require
        if let secrets = try secretsOfFile(session.configuration) {
            guard inForce.terms.hasCheckFile || inForce.isGuessed else {
                throw Failure(
                    .refused,
                    "a file of secrets is named (--check-file, or TOLLGATE_CHECK_FILE), and the sidecars have theirs in Redis: keys "
                        + "made with it would prove nothing to them"
                ).report()
            }
            return secrets.all.first.map { IssuingSecret($0, isInRedis: false) }
        }
        guard inForce.terms.hasCheckFile else {
            return try await session.directory.issuingSecret(isRequired: isRequired)
        }
        let remedy = "the sidecars' secrets are in a file (keys.check_file): name a copy of it by --check-file"
        guard !isRequired else {
            throw Failure(.refused, "the key would be refused without a right check, and \(remedy)").report()
        }
        Output.warn("the key has no check, so it waits behind proven ones when junk comes; \(remedy)")
        return nil
    }

    /// The ids of those that sidecars take.
    func secretIDs(_ session: Session) async throws -> Set<String> {
        let inForce = try await KeyTermsInForce(session)
        if let secrets = try secretsOfFile(session.configuration) { return Set(secrets.all.map(\.id)) }
        guard !inForce.terms.hasCheckFile else {
            throw Failure(
                .refused, "the sidecars' secrets are in a file (keys.check_file): name a copy of it by --check-file"
            ).report()
        }
        return Set(try await session.directory.checkSecrets().map(\.secret.id))
    }

    /// What sidecars prove keys by; nil where they don't, or nobody has the secrets here.
    func secrets(by inForce: KeyTermsInForce, _ session: Session) async throws -> CheckSecrets? {
        guard inForce.terms.check != .off else { return nil }
        if let secrets = try secretsOfFile(session.configuration) { return secrets }
        guard !inForce.terms.hasCheckFile else { return nil }
        return CheckSecrets(try await session.directory.checkSecrets().map(\.secret))
    }

    /// Nil where no file is named.
    func secretsOfFile(_ configuration: Session.Configuration?) throws -> CheckSecrets? {
        guard let (path, source) = named(configuration) else { return nil }
        do throws(FileFlaw) {
            return try CheckFile.secrets(at: path)
        } catch {
            throw ValidationError("\(source): expected a file of secrets, got \(path): \(error)")
        }
    }

    private func named(_ configuration: Session.Configuration?) -> (path: String, source: String)? {
        if let checkFile { return (checkFile, "--check-file") }
        if let path = tollgatectl.variable(Self.variable) { return (path, Self.variable) }
        return configuration?.settings.keys.checkFile.map { ($0, "keys.check_file") }
    }
}
