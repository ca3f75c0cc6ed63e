// SPDX-License-Identifier: Apache-2.0

import MCP
import NIOCore

/// The body of an MCP message while it is read for what it asks, and until the handler has it.
struct HeldBody {
    /// Up to this it is kept until the answer begins, for a handler that serves it at another path.
    private static let short = 256 * 1024
    /// A body as small as this takes no room, and smaller slices are copied together whatever they were read into.
    private static let small = 16 * 1024
    /// Slices are copied together up to this, which is as much as is read at a time.
    private static let longest = 64 * 1024

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
    var needed: Int { bytes > Self.small ? bytes - granted : 0 }

    var isShort: Bool { slices.reduce(0) { $0 + $1.readableBytes } <= Self.short }

    /// A slice keeps all of what it was read into. One that fills it stays there; others are copied together, so that
    /// two thirds of what is kept are the body, however it is cut.
    mutating func append(_ payload: ByteBuffer) {
        scanner.scan(payload)
        // The first is alone in most requests, and stays where it was read.
        guard let last = slices.indices.last else { return keep(payload) }
        let isFull = Self.fillsStorage(payload)
        guard !Self.fillsStorage(slices[last]), !isFull || slices[last].readableBytes < Self.small else {
            return keep(isFull ? payload : ByteBuffer(buffer: payload))
        }
        var rest = payload
        let room = max(0, Self.longest - slices[last].readableBytes)
        if var part = rest.readSlice(length: min(room, rest.readableBytes)) {
            bytes -= slices[last].storageCapacity
            slices[last].writeBuffer(&part)
            bytes += slices[last].storageCapacity
        }
        if rest.readableBytes > 0 { keep(ByteBuffer(buffer: rest)) }
    }

    private mutating func keep(_ slice: ByteBuffer) {
        slices.append(slice)
        bytes += slice.storageCapacity
    }

    private static func fillsStorage(_ slice: ByteBuffer) -> Bool {
        slice.readableBytes >= small && 8 * slice.readableBytes >= 7 * slice.storageCapacity
    }

    mutating func end(_ trailers: ByteBuffer?) -> MessageScanner.Outcome {
        self.trailers = trailers
        return scanner.finish()
    }
}
