// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Endpoints
import LibC
import Octets
import Redis
import Settings
import TLS

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Which Redis, and which part of it.
struct Connection: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where keys and limits are. Others see the command line: give a password by TOLLGATE_REDIS_URL.",
            valueName: "url"))
    var redis: String?
    @Option(
        help: ArgumentHelp(
            "First part of every Redis key; TOLLGATE_NAMESPACE, or tg, where nothing is said.", valueName: "name"),
        transform: namespaceName)
    var namespace: String?
    @OptionGroup var file: ConfigOption
    @Option(
        name: .customLong("as"),
        help: ArgumentHelp(
            "Who changes something, for the audit trail; TOLLGATE_USER, or your name on this machine, where nothing is said.",
            valueName: "who"),
        transform: label)
    var actor: String?

    /// For a failover to be over: after it sentinels name another primary, or a cluster has another one.
    private static let patience = Duration.seconds(5)

    /// What becomes of an answer that can't be printed.
    enum Purpose {
        /// It is all that there is to the command: whoever closes the pipe has seen enough.
        case show
        /// Something was done, and whoever asked for it doesn't know.
        case change
    }

    /// Does something with the directory, see ``withRedis(to:_:)``.
    func withDirectory<Value>(
        to purpose: Purpose = .change, _ body: (Directory) async throws -> Value
    ) async throws -> Value {
        try await withRedis(to: purpose) { try await body($0.directory) }
    }

    /// Does something with Redis, and turns what stands in the way into a message and an exit code.
    func withRedis<Value>(
        to purpose: Purpose = .change, _ body: (Session) async throws -> Value
    ) async throws -> Value {
        let configuration = try file.configuration
        let endpoint = try endpoint(configuration)
        let namespace = try namespaceSaid ?? configuration?.settings.namespace ?? "tg"
        do {
            let client = try await RedisClient.connect(to: endpoint, patience: Self.patience)
            defer { client.close() }
            let session = Session(
                client: client, endpoint: endpoint, namespace: namespace, configuration: configuration,
                actor: signature)
            do {
                return try await body(session)
            } catch DirectoryError.organizationMissing(let name) {
                // Found nowhere, it may be in the namespace that the sidecars use.
                await session.warnOfOtherNamespaces()
                throw DirectoryError.organizationMissing(name)
            }
        } catch let error as Failure {
            throw error.report()
        } catch let error as RedisError {
            throw Failure(error, at: endpoint).report()
        } catch let error as DirectoryError {
            throw Failure(error, at: endpoint).report()
        } catch is Listing.Unread {
            throw ExitCode.success
        } catch let error as Output.Lost {
            switch purpose {
            case .show where error.isClosedPipe: throw ExitCode.success
            case .show: throw Failure(.outputLost, "the answer could not be written (\(error))").report()
            case .change: throw Failure(.outputLost, "it was done, but nobody could be told (\(error))").report()
            }
        }
    }

    /// By option or variable, else by the sidecars' file, else on this machine. Passwords of variables are for any of them, and
    /// those of the file for the Redis that it names.
    private func endpoint(_ configuration: Session.Configuration?) throws -> RedisEndpoint {
        var (endpoint, source) = (RedisEndpoint(.tcp(host: "127.0.0.1", port: 6379)), "the default")
        if let url = redis ?? variable("TOLLGATE_REDIS_URL") {
            source = redis == nil ? "TOLLGATE_REDIS_URL" : "--redis"
            do {
                endpoint = try RedisEndpoint(parsing: url)
            } catch {
                throw ValidationError("\(source): \(error)")
            }
        } else if let configuration {
            (endpoint, source) = (configuration.settings.redis.endpoint, configuration.file)
        }
        let passwords = try passwords
        do {
            try endpoint.take(usernames: [], passwords: passwords, besides: source)
        } catch {
            throw ValidationError("\(error)")
        }
        try secure(&endpoint, from: source, configuration)
        try introduce(&endpoint, from: source, configuration)
        return endpoint
    }

    /// Reads what sentinels know us by. What the sidecars' file says of it is true of the sentinels that it names.
    private func introduce(
        _ endpoint: inout RedisEndpoint, from source: String, _ configuration: Session.Configuration?
    ) throws {
        let names = ConfigurationSources.Option.self
        let (username, file, speaksTLS) = (
            variable(names.redisSentinelUsername.variable), variable(names.redisSentinelPasswordFile.variable),
            variable(names.redisSentinelTLS.variable)
        )
        guard endpoint.sentinels != nil else {
            for option in [names.redisSentinelUsername, .redisSentinelPasswordFile, .redisSentinelTLS]
            where variable(option.variable) != nil {
                throw ValidationError(
                    "\(option.variable) is of use with redis+sentinel:// alone, which \(source) hasn't")
            }
            return
        }
        if let configured = configuration?.settings.redis.endpoint, configured.address == endpoint.address {
            endpoint.sentinelAccess = configured.sentinelAccess
        }
        if let username { endpoint.sentinelAccess.username = username }
        if let file {
            do throws(FileFlaw) {
                endpoint.sentinelAccess.password = try PasswordFile.password(at: file)
            } catch {
                throw ValidationError(
                    "\(names.redisSentinelPasswordFile.variable): expected a file with the sentinels' password, got "
                        + "\(file): \(error)")
            }
        }
        switch speaksTLS {
        case nil: break
        case "true":
            // As the sidecar has it: the sentinels' password would go out in the clear.
            guard endpoint.security != nil else {
                throw ValidationError(
                    "\(names.redisSentinelTLS.variable): expected rediss+sentinel:// in \(source) beside it, got "
                        + "redis+sentinel://")
            }
            endpoint.sentinelAccess.isPlain = false
        case "false": endpoint.sentinelAccess.isPlain = true
        default: throw ValidationError("\(names.redisSentinelTLS.variable): expected true or false")
        }
    }

    /// Reads what TLS goes by: what the sidecars' file names, of which variables may name another.
    private func secure(
        _ endpoint: inout RedisEndpoint, from source: String, _ configuration: Session.Configuration?
    ) throws {
        let names = ConfigurationSources.Option.self
        guard endpoint.security != nil else {
            // A typing error in the URL would send a password to whoever listens.
            for option in [names.redisAuthorities, .redisCertificate, .redisKey, .redisServerName]
            where variable(option.variable) != nil {
                throw ValidationError("\(option.variable) is of use with rediss:// alone, which \(source) hasn't")
            }
            return
        }
        guard Certificates.areSupported else {
            throw ValidationError(
                "\(source): rediss:// in a build without TLS; build Tollgate with the trait TLS, which it has by default"
            )
        }
        let configured = configuration?.settings.redis.endpoint
        // Who the file's Redis is, and who we are there, is true of no other.
        let own = configured?.address == endpoint.address ? configured?.security : nil
        let certificate = variable(names.redisCertificate.variable)
        let key = variable(names.redisKey.variable)
        guard (certificate == nil) == (key == nil) else {
            throw ValidationError(
                "\(names.redisCertificate.variable) and \(names.redisKey.variable) are of use together alone")
        }
        let serverName = variable(names.redisServerName.variable)
        if let serverName, !Settings.isServerName(serverName) {
            throw ValidationError("\(names.redisServerName.variable): expected the name of a host, which no address is")
        }
        let security = ServerTrust(
            serverName: serverName ?? own?.serverName,
            files: CertificateFiles(
                authorities: variable(names.redisAuthorities.variable) ?? configured?.security?.files.authorities,
                certificate: certificate ?? own?.files.identity?.certificate, key: key ?? own?.files.identity?.key))
        endpoint.security = security
        do throws(CertificateFlaw) {
            endpoint.security?.certificates = try security.read()
        } catch {
            throw ValidationError("\(Self.name(of: error.part)): \(error)")
        }
    }

    private static func name(of part: CertificateFlaw.Part) -> String {
        switch part {
        case .authorities: ConfigurationSources.Option.redisAuthorities.path
        case .certificate: ConfigurationSources.Option.redisCertificate.path
        case .key: ConfigurationSources.Option.redisKey.path
        }
    }

    private var passwords: [RedisCredential] {
        get throws {
            let ofVariable = ProcessInfo.processInfo.environment.redisPassword.map { [$0] } ?? []
            let name = ConfigurationSources.Option.redisPasswordFile.variable
            guard let file = variable(name) else { return ofVariable }
            do {
                return ofVariable + [RedisCredential(try PasswordFile.password(at: file), from: name)]
            } catch {
                throw ValidationError("\(name): expected a file with Redis' password, got \(file): \(error)")
            }
        }
    }

    private var namespaceSaid: String? {
        get throws {
            if let namespace { return namespace }
            guard let name = variable(ConfigurationSources.Option.namespace.variable) else { return nil }
            guard Settings.isNamespace(name) else {
                throw ValidationError("\(ConfigurationSources.Option.namespace.variable): \(namespaceExpectation)")
            }
            return name
        }
    }

    private var signature: String {
        let name = actor ?? variable("TOLLGATE_USER") ?? "\(user)@\(ProcessInfo.processInfo.hostName)"
        // It stands in every entry of the audit trail; --as can't be longer.
        return String(String.UnicodeScalarView(name.unicodeScalars.prefix(100)))
    }

    /// Services and containers often have no USER, and a container no name for its user either.
    private var user: String {
        if let name = variable("SUDO_USER") ?? variable("USER") { return name }
        guard let entry = getpwuid(getuid()), let name = entry.pointee.pw_name else { return "uid-\(getuid())" }
        return String(cString: name)
    }
}

/// Of the process environment; nil where it is empty.
func variable(_ name: String) -> String? {
    ProcessInfo.processInfo.environment.variable(name)
}

private let namespaceExpectation = "expected 1 to 32 of A-Z a-z 0-9 . _ -"

private func namespaceName(_ text: String) throws -> String {
    guard Settings.isNamespace(text) else { throw ValidationError(namespaceExpectation) }
    return text
}
