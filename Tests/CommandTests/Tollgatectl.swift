// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import TestSupport
import Testing

/// The built `tollgatectl`, run as a child with one Redis.
struct Tollgatectl {
    struct Outcome: Equatable {
        var code: Int32
        var output: String
        var errors: String
    }

    /// What TOLLGATE_REDIS_URL says.
    var url: String

    /// Its input is no terminal, and neither is its output.
    func callAsFunction(_ arguments: String...) async throws -> Outcome {
        try await run(arguments)
    }

    func run(_ arguments: [String]) async throws -> Outcome {
        try await outcome("tollgatectl", arguments)
    }

    /// `$0` in the script and what follows are the arguments.
    func shell(_ script: String, _ arguments: String...) async throws -> Outcome {
        try await outcome("sh", ["-c", script] + arguments)
    }

    private func outcome(_ program: String, _ arguments: [String]) async throws -> Outcome {
        // Built into the folder of the tests themselves.
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let folder = URL(filePath: tests).deletingLastPathComponent().path
        let others = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let result = try await Subprocess.run(
            .name(program), arguments: Arguments(arguments),
            environment: .inherit.updating(["PATH": "\(folder):\(others)", "TOLLGATE_REDIS_URL": url]), input: .none,
            output: .string(limit: 262_144), error: .string(limit: 65_536))
        guard case .exited(let code) = result.terminationStatus else {
            return Outcome(code: -1, output: result.standardOutput, errors: "\(result.terminationStatus)")
        }
        return Outcome(code: code, output: result.standardOutput, errors: result.standardError)
    }
}

/// An expectation whose left side is awaited, which the macro can't take apart.
func equal(
    _ outcome: Tollgatectl.Outcome, _ expected: Tollgatectl.Outcome, _ location: SourceLocation = #_sourceLocation
) {
    #expect(outcome == expected, sourceLocation: location)
}
