// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOConcurrencyHelpers
import Telemetry

/// The page of metrics in one form, made once for all who wait for it.
///
/// One is made at a time, and whoever asks meanwhile shares the next one. So however many scrapers there are, and however fast
/// they ask, they cost as many pages as the loops tell their counts, and have the octets of a page in common.
final class MetricsPage: Sendable {
    private struct State {
        /// Made now, or the last that was.
        var last: Task<ByteBuffer, Never>?
        /// Waits for the last; nothing of it was counted yet.
        var next: Task<ByteBuffer, Never>?
    }

    private let make: @Sendable () async -> ByteBuffer
    private let state = NIOLockedValueBox(State())

    init(_ form: Exposition, of families: @escaping @Sendable () async -> [MetricFamily]) {
        make = { ByteBuffer(string: form.render(await families())) }
    }

    /// Has all in it that was counted when it was asked for.
    var page: Task<ByteBuffer, Never> {
        state.withLockedValue { state in
            if let next = state.next { return next }
            let page = Task { [last = state.last] in
                _ = await last?.value
                self.state.withLockedValue { $0.next = nil }
                return await self.make()
            }
            (state.last, state.next) = (page, page)
            return page
        }
    }
}
