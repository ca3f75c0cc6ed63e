// SPDX-License-Identifier: Apache-2.0

import Admin
import NIOConcurrencyHelpers
import Settings

/// Where the pages about this process are served, wherever the configuration in force has them.
struct AdminAddress: Sendable {
    /// What an answer that is under way has left, once its address is no longer the one.
    private static let patience = Duration.seconds(5)

    private let service = NIOLockedValueBox<AdminService?>(nil)
    private let open: @Sendable (Settings.TCPAddress) async throws -> AdminService

    init(_ open: @escaping @Sendable (Settings.TCPAddress) async throws -> AdminService) {
        self.open = open
    }

    /// - Throws: why it can't be listened on.
    func start(_ settings: Settings) async throws {
        await (try await prepare(settings))()
    }

    /// Listens where the settings say.
    ///
    /// - Returns: ends the address before; to be called when nothing else can fail.
    /// - Throws: why it can't be listened on, and all is as before.
    func prepare(_ settings: Settings) async throws -> @Sendable () async -> Void {
        let next = if let address = settings.admin { try await open(address) } else { AdminService?.none }
        return {
            let former = service.withLockedValue { current in
                defer { current = next }
                return current
            }
            await former?.end(by: .now + Self.patience)
        }
    }

    func end(by deadline: ContinuousClock.Instant) async {
        await service.withLockedValue { $0 }?.end(by: deadline)
    }
}
