// SPDX-License-Identifier: Apache-2.0

import Octets

/// Where a configuration comes from: flags beat the environment, which beats the file, which beats the defaults.
package struct ConfigurationSources: Sendable {
    /// What can be said without a file.
    package enum Option: String, Sendable, CaseIterable {
        case listen, upstream, redis, redisPasswordFile, redisAuthorities, redisCertificate, redisKey, redisServerName
        case redisSentinelUsername, redisSentinelPasswordFile, redisSentinelTLS
        case namespace, admin, logLevel

        /// Nil where it is said by variable alone.
        package var flag: String? { spelling.flag }
        package var variable: String { spelling.variable }
        /// The key it stands for.
        package var path: String { spelling.path }

        private var spelling: (flag: String?, variable: String, path: String) {
            switch self {
            case .listen: ("--listen", "TOLLGATE_LISTEN", Settings.listen.path)
            case .upstream: ("--upstream", "TOLLGATE_UPSTREAM", Settings.Upstream.location.path)
            case .redis: ("--redis", "TOLLGATE_REDIS_URL", Settings.Redis.endpoint.path)
            case .redisPasswordFile: (nil, "TOLLGATE_REDIS_PASSWORD_FILE", Settings.Redis.passwordFile.path)
            case .redisAuthorities: (nil, "TOLLGATE_REDIS_TLS_CA", Settings.Redis.tls.authorities.path)
            case .redisCertificate: (nil, "TOLLGATE_REDIS_TLS_CERTIFICATE", Settings.Redis.tls.certificate.path)
            case .redisKey: (nil, "TOLLGATE_REDIS_TLS_KEY", Settings.Redis.tls.key.path)
            case .redisServerName: (nil, "TOLLGATE_REDIS_TLS_SERVER_NAME", Settings.Redis.tls.serverName.path)
            case .redisSentinelUsername:
                (nil, "TOLLGATE_REDIS_SENTINEL_USERNAME", Settings.Redis.sentinelUsername.path)
            case .redisSentinelPasswordFile:
                (nil, "TOLLGATE_REDIS_SENTINEL_PASSWORD_FILE", Settings.Redis.sentinelPasswordFile.path)
            case .redisSentinelTLS: (nil, "TOLLGATE_REDIS_SENTINEL_TLS", Settings.Redis.sentinelTLS.path)
            case .namespace: ("--namespace", "TOLLGATE_NAMESPACE", Settings.namespace.path)
            case .admin: ("--admin", "TOLLGATE_ADMIN", Settings.admin.path)
            case .logLevel: ("--log-level", "TOLLGATE_LOG_LEVEL", Settings.Log.level.path)
            }
        }
    }

    /// Names the file where no flag does.
    package static let fileVariable = "TOLLGATE_CONFIG"

    /// Path of a YAML file, before that of ``fileVariable``; messages name it as it is written.
    package var file: String?
    package var flags: [Option: String]
    /// The process environment, as ``Swift/Dictionary/variable(_:)`` reads it.
    package var environment: [String: String]
    /// That the process may have, which bounds its connections; nil where the configuration isn't to run here.
    package var descriptors: Int?
    /// Whether folders that files and sockets are to be in have to be there by now.
    package var looksAtFolders: Bool
    /// Whether passwords are read from where they are kept, to be used.
    package var readsSecrets: Bool

    package init(
        file: String? = nil, flags: [Option: String] = [:], environment: [String: String] = [:],
        descriptors: Int? = nil, looksAtFolders: Bool = false, readsSecrets: Bool = false
    ) {
        self.file = file
        self.flags = flags
        self.environment = environment
        self.descriptors = descriptors
        self.looksAtFolders = looksAtFolders
        self.readsSecrets = readsSecrets
    }
}

extension ConfigurationSources {
    /// Whether the machine is the one that it is to run on: what clients are shown has to be there. Who only talks to Redis by a
    /// sidecar's file may not read it.
    var isOfListeners: Bool { descriptors != nil || looksAtFolders }

    /// Of the file; nil where there is none.
    package var path: String? { file ?? environment.variable(Self.fileVariable) }

    /// What the file says now; nil where there is none.
    package func text() throws(ConfigurationError) -> String? {
        guard let path else { return nil }
        do {
            return try ConfigurationFile(path: path).text()
        } catch {
            throw ConfigurationError(error)
        }
    }

    /// The least important first.
    var overrides: [(path: String, element: Element)] {
        let variables = Option.allCases.compactMap { option -> (String, Element)? in
            guard let text = environment.variable(option.variable) else { return nil }
            return (option.path, Element(option, text, at: .variable(option.variable)))
        }
        let flags = Option.allCases.compactMap { option -> (String, Element)? in
            guard let text = self.flags[option], let flag = option.flag else { return nil }
            return (option.path, Element(option, text, at: .flag(flag)))
        }
        return variables + flags
    }
}

extension Element {
    /// Several addresses to listen on are separated by commas.
    fileprivate init(_ option: ConfigurationSources.Option, _ text: String, at place: Place) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        if option == .listen, parts.count > 1 {
            self = Element(content: .list(parts.map { Element($0.trimmingWhiteSpace, at: place) }), place: place)
        } else {
            self = Element(text, at: place)
        }
    }
}

extension [String: String] {
    /// A variable of an environment without the white space around it; nil where nothing is left.
    package func variable(_ name: String) -> String? {
        self[name].map(\.trimmingWhiteSpace).flatMap { $0.isEmpty ? nil : $0 }
    }
}
