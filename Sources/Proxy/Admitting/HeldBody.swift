// SPDX-License-Identifier: Apache-2.0

import MCP
import NIOCore

/// The body of an MCP message while it is read for what it asks, and until the handler has it.
struct HeldBody {
    /// Up to this it is kept until the answer begins, for a handler that serves it at another path.
    private static let short = 256 * 1024
    /// Smaller slices are copied together: each would keep the whole buffer it was read into.
    private static let smallSlice = 16 * 1024

    let holder: HeldShares.Holder
    private(set) var slices: [ByteBuffer] = []
    private(set) var trailers: ByteBuffer?
    /// What it keeps of the process' memory.
    private(set) var bytes = 0
    /// What of that its holder was given room for.
    var granted = 0
    private var scanner = MessageScanner()

    init(of holder: HeldShares.Holder) {
        self.holder = holder
    }

    /// The room it takes beyond what was granted. A small body takes none: as much may lie unread on every connection.
    var needed: Int { bytes > Self.smallSlice ? bytes - granted : 0 }

    var isShort: Bool { slices.reduce(0) { $0 + $1.readableBytes } <= Self.short }

    mutating func append(_ payload: ByteBuffer) {
        scanner.scan(payload)
        if payload.readableBytes >= Self.smallSlice {
            slices.append(payload)
            bytes += payload.storageCapacity
        } else if let last = slices.indices.last, slices[last].readableBytes < Self.smallSlice {
            bytes -= slices[last].storageCapacity
            slices[last].writeImmutableBuffer(payload)
            bytes += slices[last].storageCapacity
        } else {
            // The first is alone in most requests, and stays where it was read.
            slices.append(payload)
            bytes += payload.storageCapacity
        }
    }

    mutating func end(_ trailers: ByteBuffer?) -> MessageScanner.Outcome {
        self.trailers = trailers
        return scanner.finish()
    }
}
