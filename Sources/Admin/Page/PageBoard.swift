// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Telemetry

/// What there is to tell to all open pages, each version of it with a number.
struct PageBoard {
    /// Seconds after which a state is told again that hasn't changed.
    private static let interval = 5

    let traffic: TrafficRecorder
    /// Nil until it was asked.
    private(set) var hello: (number: Int, members: [StatusValue.Member])?
    private(set) var state: (number: Int, octets: ByteBuffer)?
    private var number = 0
    private var value: StatusValue?
    /// How often the same was found.
    private var repetitions = 0

    init(traffic: TrafficRecorder) {
        self.traffic = traffic
    }

    mutating func forget() {
        (hello, state, value) = (nil, nil, nil)
    }

    /// To be called once a second.
    mutating func take(_ state: PageState, _ summary: TrafficRecorder.Summary) {
        let members = state.hello(startedAt: traffic.clock.start)
        if hello?.members != members {
            number += 1
            hello = (number, members)
        }
        let value = state.value(with: summary)
        repetitions += 1
        guard value != self.value || repetitions >= Self.interval else { return }
        number += 1
        repetitions = 0
        self.value = value
        self.state = (number, PageEvent.octets("state", value))
    }
}
