// SPDX-License-Identifier: Apache-2.0

@testable import Settings

/// What is told of settings that can't be used; nothing where they can.
func problems(of settings: () throws -> Settings) -> [String] {
    do {
        _ = try settings()
        return []
    } catch let error as ConfigurationError {
        return error.lines
    } catch {
        return ["\(error)"]
    }
}
