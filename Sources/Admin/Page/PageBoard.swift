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
    /// Seconds since a state was told.
    private var age = 0

    init(traffic: TrafficRecorder) {
        self.traffic = traffic
    }

    mutating func forget() {
        (hello, state, value) = (nil, nil, nil)
    }

    /// A second has passed.
    mutating func beat() {
        age += 1
    }

    /// What was found now.
    mutating func take(_ state: PageState, _ summary: TrafficRecorder.Summary) {
        let members = state.hello(startedAt: traffic.clock.start)
        if hello?.members != members {
            number += 1
            hello = (number, members)
        }
        let value = state.value(with: summary)
        guard value != self.value || age >= Self.interval else { return }
        number += 1
        age = 0
        self.value = value
        self.state = (number, PageEvent.octets("state", value))
    }
}
