// SPDX-License-Identifier: Apache-2.0

/// What one loop remembers of callers whose requests cost nothing.
struct FreeCallers {
    var pacing: Pacing
    var falseStreams = FalseStreams()

    init(loops: Int) {
        pacing = Pacing(loops: loops)
    }
}
