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
        await change(to: try await prepare(settings))
    }

    /// One that listens, beside the one that is.
    struct Next: Sendable {
        fileprivate let service: AdminService?

        /// It is not to be.
        func discard() async {
            await service?.end(by: .now + AdminAddress.patience)
        }
    }

    /// Listens where the settings say.
    ///
    /// - Throws: why it can't be listened on, and all is as before.
    func prepare(_ settings: Settings) async throws -> Next {
        guard let address = settings.admin else { return Next(service: nil) }
        return Next(service: try await open(address))
    }

    /// Ends the address before.
    func change(to next: Next) async {
        let former = service.withLockedValue { current in
            defer { current = next.service }
            return current
        }
        await former?.end(by: .now + Self.patience)
    }

    func end(by deadline: ContinuousClock.Instant) async {
        await service.withLockedValue { $0 }?.end(by: deadline)
    }
}
