// SPDX-License-Identifier: Apache-2.0

import MCP
import NIOCore

/// What the readers of MCP messages promise of any octets:
///
/// 1. However a body is cut, it says the same.
/// 2. What is left of a list after tools were left out loses none when that is done again, and is as much of a message.
/// 3. However a stream of events is cut, the same goes on; and all of it where nothing is barred.
enum MessageSubject {
    static func check(_ octets: [UInt8]) {
        let whole = outcome(octets, every: octets.count + 1)
        for size in [1, 2, 7] { precondition(outcome(octets, every: size) == whole, "cut every \(size)") }

        let text = ByteBuffer(bytes: octets)
        if let filtered = ToolList.filtered(text, permits: isPermitted) {
            precondition(filtered.readableBytes < octets.count, "left out, and longer")
            precondition(ToolList.filtered(filtered, permits: isPermitted) == nil, "left out twice")
            if case .messages = whole {
                guard case .messages = outcome(Array(filtered.readableBytesView), every: 64) else {
                    preconditionFailure("what is left is no message")
                }
            }
        }

        precondition(
            events(octets, every: octets.count + 1) { _ in true } == octets, "nothing barred, and not the same")
        let passed = events(octets, every: octets.count + 1, isPermitted)
        for size in [1, 3] {
            precondition(events(octets, every: size, isPermitted) == passed, "events cut every \(size)")
        }
    }

    private static func isPermitted(_ name: [UInt8]) -> Bool { name.first != UInt8(ascii: "n") }

    private static func outcome(_ octets: [UInt8], every size: Int) -> MessageScanner.Outcome {
        var scanner = MessageScanner()
        for slice in slices(octets, every: size) { scanner.scan(slice) }
        return scanner.finish()
    }

    private static func events(
        _ octets: [UInt8], every size: Int, _ permits: @escaping ([UInt8]) -> Bool
    ) -> [UInt8] {
        var filter = EventStreamFilter(permits: permits)
        var passed: [UInt8] = []
        for slice in slices(octets, every: size) { passed += filter.filter(slice).readableBytesView }
        return passed + filter.finish().readableBytesView
    }

    private static func slices(_ octets: [UInt8], every size: Int) -> [ByteBuffer] {
        stride(from: 0, to: octets.count, by: size).map {
            ByteBuffer(bytes: octets[$0..<min($0 + size, octets.count)])
        }
    }
}
