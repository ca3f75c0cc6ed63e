// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// What logs and metrics are told of a request, when it begins and when it ends. What its message is called is worked out
/// once, where the first line is written.
extension Exchange {
    func beginRecord() {
        if !record.isOpen { loop.metrics.began() }
        record.begin(at: loop.readClock(), snapshot.sampling)
    }

    /// A stream has a line when it begins, since it may never end.
    func beginStreamRecord() {
        nameMessage()
        if !record.isStream {
            loop.metrics.streamBegan()
            loop.traffic.streamBegan(record)
        }
        record.logBegin(to: loop.accessLog, at: loop.readClock())
    }

    func endRecord() {
        guard record.isOpen else { return }
        nameMessage()
        record.logEnd(
            to: loop.accessLog, countedIn: &loop.metrics, loop.traffic,
            isToolError: state.toolErrors?.isError == true, at: loop.readClock())
    }

    private func nameMessage() {
        guard record.message == nil, let traits = state.intake?.traits else { return }
        record.message = MessageLabels(traits, naming: snapshot.messages.tools)
    }
}
