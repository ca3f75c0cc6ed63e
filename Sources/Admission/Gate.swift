// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore

/// Decides who may call and how often. One a loop: it lives and is called on its event loop alone.
package final class Gate {
    package let configuration: AdmissionConfiguration
    package private(set) var counters = GateCounters()

    private let eventLoop: any EventLoop
    private let instance: Instance
    private let logger: Logger

    /// - Parameter instance: shared by all gates of the process, over reloads too.
    package init(
        configuration: AdmissionConfiguration, instance: Instance, on eventLoop: any EventLoop, logger: Logger
    ) {
        self.configuration = configuration
        self.instance = instance
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// Connects, and goes on trying until `close()`.
    package func start() {}

    /// Every decision still open is answered as without Redis.
    package func close() {}

    /// Connected, scripts loaded, answering in time, and the database is the one this process began with.
    package var isReady: Bool { false }

    /// Decides about one request. `completion` is called exactly once, on the loop, before `timeout` has passed; often
    /// before this returns.
    package func admit(
        _ request: AdmissionRequest, at now: NIODeadline, _ completion: @escaping (Decision) -> Void
    ) {
        let decision = Decision.deny(Denial(reason: .limiterUnavailable(detail: "not connected")))
        counters.count(decision)
        completion(decision)
    }

    /// Ends what is out of time. To be called every 10 ms.
    package func expire(now: NIODeadline) {}
}
