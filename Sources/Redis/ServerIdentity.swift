// SPDX-License-Identifier: Apache-2.0

import Endpoints

/// What a server tells of itself when it is greeted; nil where it says nothing of it.
///
/// `HELLO` answers it, `INFO` where there is no HELLO (before Redis 6).
package struct ServerIdentity: Sendable, Equatable {
    /// `redis` or `valkey`.
    package private(set) var product: String?
    /// `7.0.15`
    package private(set) var version: String?
    /// `standalone`, `sentinel` or `cluster`.
    package private(set) var mode: String?
    /// `master`; what follows one is a `replica` to HELLO and a `slave` to INFO. A Sentinel has none.
    package private(set) var role: String?

    /// - Parameter hello: names and values by turns.
    init(hello: RedisReply) {
        let elements = hello.array ?? []
        for index in stride(from: 0, to: elements.count - 1, by: 2) {
            take(elements[index].text, elements[index + 1].text)
        }
    }

    init(info: InfoFields) {
        for (name, value) in info.fields { take(name, value) }
    }

    private static func isOfVersion(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || ".+-".contains(character))
    }

    private mutating func take(_ name: String?, _ value: String?) {
        switch name {
        case "server", "server_name": product = value.map { String($0.prefix(32).prefix(while: Self.isOfVersion)) }
        case "version", "redis_version":
            // Whatever it says is shown to people.
            version = value.map { String($0.prefix(32).prefix(while: Self.isOfVersion)) }
        case "mode", "redis_mode": mode = value
        case "role": role = value
        default: break
        }
    }

    /// Our scripts say by `#!lua flags=…` what they do, which Redis 7.0 was the first to understand.
    private static let oldestMajor = 7

    /// Why it is of no use; nil where nothing speaks against it.
    ///
    /// - Parameter kind: what is looked for.
    func misfit(for kind: RedisEndpoint.Kind) -> RedisMisfit? {
        // Whichever version: it carries out no script.
        if kind == .sentinel { return mode == nil || mode == "sentinel" ? nil : .noSentinel }
        if mode == "sentinel" { return .sentinel }
        if let version, let major = version.split(separator: ".").first.flatMap({ Int($0) }), major < Self.oldestMajor {
            return .tooOld(version: version)
        }
        switch kind {
        case .server:
            if mode == "cluster" { return .clusterNode }
        case .clusterNode, .clusterMember:
            if let mode, mode != "cluster" { return .noCluster }
        case .sentinel: break
        }
        // Which the others are is for a replica to tell, too.
        if kind == .clusterMember { return nil }
        return role == nil || role == "master" ? nil : .replica
    }
}
