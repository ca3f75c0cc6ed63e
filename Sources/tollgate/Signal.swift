// SPDX-License-Identifier: Apache-2.0

@preconcurrency import Dispatch
import LibC

/// A signal that the daemon obeys.
enum Signal: String, CaseIterable {
    case hangUp = "SIGHUP"
    case interrupt = "SIGINT"
    case terminate = "SIGTERM"

    var number: Int32 {
        switch self {
        case .hangUp: SIGHUP
        case .interrupt: SIGINT
        case .terminate: SIGTERM
        }
    }

    /// Each signal as it comes, and none has another effect any more once this returns.
    static func stream() async -> AsyncStream<Signal> {
        let queue = DispatchQueue(label: "tollgate.signals")
        let (stream, continuation) = AsyncStream<Signal>.makeStream()
        var sources: [any DispatchSourceSignal] = []
        for signal in allCases {
            let source = DispatchSource.makeSignalSource(signal: signal.number, queue: queue)
            source.setEventHandler { continuation.yield(signal) }
            sources.append(source)
            // Until then the signal ends the process.
            await withCheckedContinuation { registered in
                source.setRegistrationHandler { registered.resume() }
                source.activate()
            }
        }
        continuation.onTermination = { [sources] _ in
            for source in sources { source.cancel() }
        }
        return stream
    }
}
