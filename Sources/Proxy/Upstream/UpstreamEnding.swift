// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore

/// How long a connection to the handler is kept whose exchange is over: what was written is the handler's still. No IO: its
/// owner looks now and then what of it isn't taken, by the handler's kernel at the latest.
///
///     octets wait ──all are taken──▶ the handler speaks on ──a look's time of silence──▶ over
///        └──none taken for `patience`──▶ over ◀──nor is it silent for `patience`──┘
///
/// A handler that ends its side ends the connection sooner.
struct UpstreamEnding {
    enum Verdict {
        case wait, over
    }

    private let patience: TimeAmount
    /// When it was last looked; nil before.
    private var waiting: Int?
    private var untakenFor = TimeAmount.zero
    private var hasSpoken = false

    init(patience: TimeAmount) {
        self.patience = patience
    }

    /// Something came from the handler: it may be at work on what it has got, and writes to who has closed would fail.
    mutating func noteWord() {
        hasSpoken = true
    }

    /// - Parameters:
    ///   - waiting: octets that the handler hasn't taken.
    ///   - time: since the last look.
    mutating func look(waiting: Int, after time: TimeAmount) -> Verdict {
        guard waiting > 0 || hasSpoken else { return .over }
        untakenFor = self.waiting.map { waiting < $0 } == false ? untakenFor + time : .zero
        (self.waiting, hasSpoken) = (waiting, false)
        return untakenFor < patience ? .wait : .over
    }
}

extension ChannelHandlerContext {
    /// Octets on their way to the other side that its kernel, or by a Unix socket its process, hasn't taken.
    var bytesUntaken: Int {
        let transport = pipeline.syncOperations
        let kernels = try? transport.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self, Self.bytesInKernel)
        return (kernels ?? 0) + channel.bufferedBytes
    }

    private static func bytesInKernel(_ socket: NIOBSDSocket.Handle) -> Int {
        #if os(Linux)
            // TIOCOUTQ, tcp(7) and unix(7).
            var count: CInt = 0
            return ioctl(socket, UInt(TIOCOUTQ), &count) == 0 ? Int(count) : 0
        #else
            return 0
        #endif
    }
}

extension Channel {
    /// Octets that the kernel hasn't taken.
    var bufferedBytes: Int {
        do {
            return try syncOptions?.getOption(.bufferedWritableBytes) ?? 0
        } catch {
            // A channel that is closed holds nothing.
            return 0
        }
    }
}
