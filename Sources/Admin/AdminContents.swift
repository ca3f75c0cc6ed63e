// SPDX-License-Identifier: Apache-2.0

package import Telemetry

/// What the pages tell, asked each time.
package struct AdminContents: Sendable {
    package var readiness: @Sendable () async -> Readiness
    package var status: @Sendable () async -> Status
    /// What the last reload failed by; nil where it was taken over.
    package var configurationError: @Sendable () -> String?
    /// Why the handler can't be connected to; nil where it can, as far as is known.
    package var upstreamFailure: @Sendable () -> Status.Failure?
    package var metrics: @Sendable () async -> [MetricFamily]
    /// Nil: there is no page.
    package var page: PageContents?

    package init(
        readiness: @escaping @Sendable () async -> Readiness, status: @escaping @Sendable () async -> Status,
        configurationError: @escaping @Sendable () -> String? = { nil },
        upstreamFailure: @escaping @Sendable () -> Status.Failure? = { nil },
        metrics: @escaping @Sendable () async -> [MetricFamily] = { [] }, page: PageContents? = nil
    ) {
        self.readiness = readiness
        self.status = status
        self.configurationError = configurationError
        self.upstreamFailure = upstreamFailure
        self.metrics = metrics
        self.page = page
    }
}
