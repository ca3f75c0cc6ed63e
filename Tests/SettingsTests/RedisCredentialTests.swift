// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Foundation
import Octets
import Testing

@testable import Settings

/// User and password of Redis, which may be given in several places.
@Suite struct RedisCredentialTests {
    /// Lends a folder to the body.
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "tg-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }

    private func settings(_ yaml: String, _ environment: [String: String] = [:]) throws -> Settings {
        let sources = ConfigurationSources(file: "t.yaml", environment: environment, readsSecrets: true)
        return try Settings.load(sources, text: yaml)
    }

    private func problems(_ yaml: String, _ environment: [String: String] = [:]) -> [String] {
        SettingsTests.problems(of: { try settings(yaml, environment) })
    }

    // MARK: Files

    @Test(arguments: [
        ("geheim", "geheim"), ("geheim\n", "geheim"), ("geheim\r\n", "geheim"), ("geheim\n\n", "geheim\n"),
        (" ge:h@e/i%m ", " ge:h@e/i%m "), ("ü🔑\n", "ü🔑"),
    ])
    func theLastLineBreakIsNotPartOfIt(octets: String, password: String) throws {
        try withFolder { folder in
            let file = folder.appending(path: "password")
            try Data(octets.utf8).write(to: file)
            #expect(try PasswordFile.password(at: file.path) == password)
        }
    }

    @Test(
        arguments: [
            ([], "an empty file"), ([0x0A], "an empty file"), ([0x0D, 0x0A], "an empty file"),
            ([0xFF, 0xFE, 0x41], "a file that is no UTF-8 text"), ([0x41, 0x00, 0x42], "a file that is no UTF-8 text"),
            (Array(repeating: 0x41, count: 4_097), "more than 4 KiB"),
        ] as [([UInt8], String)])
    func whatIsNoPasswordIsTold(octets: [UInt8], flaw: String) throws {
        try withFolder { folder in
            let file = folder.appending(path: "password")
            try Data(octets).write(to: file)
            let error = #expect(throws: FileFlaw.self) { try PasswordFile.password(at: file.path) }
            #expect(error?.description == flaw)
        }
    }

    @Test func whatIsNoFileIsTold() throws {
        try withFolder { folder in
            let none = #expect(throws: FileFlaw.self) { try PasswordFile.password(at: "\(folder.path)/none") }
            #expect(none?.description == "no such file")
            let directory = #expect(throws: FileFlaw.self) { try PasswordFile.password(at: folder.path) }
            #expect(directory?.description == "a directory")
        }
    }

    @Test func aPasswordOfTheMostBytesIsTaken() throws {
        try withFolder { folder in
            let file = folder.appending(path: "password")
            try Data(Array(repeating: 0x41, count: 4_096)).write(to: file)
            #expect(try PasswordFile.password(at: file.path).utf8.count == 4_096)
        }
    }

    // MARK: Where they come from

    @Test func theyStandBesideTheURL() throws {
        try withFolder { folder in
            let file = folder.appending(path: "password").path
            try Data("ge:h@eim\n".utf8).write(to: URL(filePath: file))
            let expected = RedisEndpoint(.tcp(host: "h", port: 1), username: "app", password: "ge:h@eim", database: 2)
            let beside = try settings("redis: {url: redis://h:1/2, username: app, password_file: \(file)}")
            #expect(beside.redis.endpoint == expected)
            #expect(beside.redis.passwordFile == file)
            let byVariable = try settings(
                "redis: {url: redis://h:1/2, username: app, password_file: /nowhere/password}",
                ["TOLLGATE_REDIS_PASSWORD_FILE": file])
            #expect(byVariable.redis.endpoint == expected)
            let itself = try settings(
                "redis: {url: redis://app@h:1/2}".replacing("app@", with: ""), ["TOLLGATE_REDIS_PASSWORD": "ge:h@eim\n"]
            )
            #expect(itself.redis.endpoint.password == "ge:h@eim")
            #expect(itself.redis.endpoint.username == nil)
        }
    }

    @Test func theyMayBeGivenTwiceIfTheyAgree() throws {
        try withFolder { folder in
            let file = folder.appending(path: "password").path
            try Data("geheim\n".utf8).write(to: URL(filePath: file))
            let yaml = "redis: {url: redis://app:geheim@h, username: app, password_file: \(file)}"
            let read = try settings(yaml, ["TOLLGATE_REDIS_PASSWORD": "geheim"])
            #expect(read.redis.endpoint.password == "geheim")
            #expect(read.redis.endpoint.username == "app")
        }
    }

    @Test func twoThatDisagreeAreNamed() throws {
        try withFolder { folder in
            let file = folder.appending(path: "password").path
            try Data("geheim\n".utf8).write(to: URL(filePath: file))
            let yaml = "redis: {url: redis://app:other@h, password_file: \(file)}"
            #expect(
                problems(yaml) == [
                    "t.yaml:1:50: redis.password_file: redis.url and redis.password_file give different passwords for Redis; "
                        + "keep one of the two"
                ])
            #expect(
                problems("redis: {password_file: \(file)}", ["TOLLGATE_REDIS_PASSWORD": "other"]) == [
                    "t.yaml:1:24: redis.password_file: redis.password_file and TOLLGATE_REDIS_PASSWORD give different "
                        + "passwords for Redis; keep one of the two"
                ])
            let variables = [
                "TOLLGATE_REDIS_URL": "redis://app:other@h", "TOLLGATE_REDIS_PASSWORD_FILE": file,
            ]
            #expect(
                problems("loops: 1", variables) == [
                    "TOLLGATE_REDIS_PASSWORD_FILE: TOLLGATE_REDIS_URL and TOLLGATE_REDIS_PASSWORD_FILE give different "
                        + "passwords for Redis; keep one of the two"
                ])
            #expect(
                problems("redis: {url: redis://app:x@h, username: web}") == [
                    "t.yaml:1:14: redis.url: redis.url and redis.username give different users for Redis; keep one of the two"
                ])
        }
    }

    @Test func aFileThatCannotBeReadIsRefused() throws {
        #expect(
            problems("redis: {password_file: /nowhere/password}") == [
                "t.yaml:1:24: redis.password_file: expected a file with Redis' password, got /nowhere/password: no such file"
            ])
    }

    /// Whoever only looks at a configuration need not have the secrets of the machine that it is for.
    @Test func nothingIsReadWhereItIsNotToRun() throws {
        let sources = ConfigurationSources(file: "t.yaml", environment: ["TOLLGATE_REDIS_PASSWORD": "geheim"])
        let read = try Settings.load(sources, text: "redis: {password_file: /nowhere/password, username: app}")
        #expect(read.redis.endpoint.password == nil)
        #expect(read.redis.passwordFile == "/nowhere/password")
        #expect(read.redis.username == "app")
    }
}
