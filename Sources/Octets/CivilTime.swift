// SPDX-License-Identifier: Apache-2.0

/// A second in UTC, taken apart as people read it.
package struct CivilTime: Sendable, Equatable {
    package let date: CivilDate
    package let hour: Int
    package let minute: Int
    package let second: Int

    package init(secondsSince1970 seconds: Int) {
        let day = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let ofDay = seconds - day * 86_400
        date = CivilDate(day: day)
        hour = ofDay / 3_600
        minute = ofDay / 60 % 60
        second = ofDay % 60
    }
}
