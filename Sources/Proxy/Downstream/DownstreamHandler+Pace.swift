// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// What a client owes while it holds slots and a connection to the handler, which are few: to send its body, and to take its
/// answer.
extension DownstreamHandler {
    // MARK: Before: the beginning of the body

    func gather(_ payload: ByteBuffer) {
        gathered.append(payload)
        if gathered.isEnough { perform(exchange.bodyGathered()) }
    }

    func gatheredEnded(_ trailers: ByteBuffer?) {
        disarm()
        gathered.end(trailers)
    }

    /// The head has been written.
    func forwardGathered() {
        let beginning = gathered
        gathered = GatheredBody()
        if beginning.bytes.readableBytes > 0 { forwardBody(beginning.bytes) }
        if beginning.isComplete { forwardEnd(beginning.trailers) } else { beginPace() }
    }

    // MARK: Sending

    /// From admission on, but for the wait for a connection.
    func beginPace() {
        var pace = BodyPace(received: record.bytesIn)
        if exchange.forwardsBody, upstream?.isWritable != true { pace.block(at: shard.now) }
        self.pace = pace
        paceDeadline = shard.paceDeadlines.arm(self, at: shard.now)
    }

    /// The body is whole, nobody waits for it now, or it is one direction of a stream.
    func endPace() {
        if let paceDeadline { shard.paceDeadlines.cancel(paceDeadline) }
        (pace, paceDeadline) = (nil, nil)
    }

    func paceExpired() {
        paceDeadline = nil
        guard machine.isExchanging, exchange.forwardsBody || exchange.gathersBody, let pace else { return }
        let window = shard.paceDeadlines.duration
        guard !pace.isKept(received: record.bytesIn, over: window, at: shard.now) else { return beginPace() }
        // Where the answer has begun it can only be cut.
        record.reason = "request_timeout"
        perform(exchange.requestBroke(.bodyTimeout))
        process()
    }

    // MARK: Taking

    /// How long a client may take nothing while there is something for it. A stream may find it asleep.
    private var stallPatience: TimeAmount {
        machine.isExchanging && (exchange.isTunnel || exchange.isEventStream)
            ? snapshot.idleTimeout : snapshot.stallTimeout
    }

    /// Something was written. From now on it is looked at now and then whether the client takes any of it: to look each time
    /// would cost more than to write.
    func watchStall() {
        guard stallDeadline == nil else { return }
        taken = nil
        stallDeadline = shard.stallDeadlines.arm(self, at: shard.now)
    }

    func endStallWatch() {
        if let stallDeadline { shard.stallDeadlines.cancel(stallDeadline) }
        stallDeadline = nil
    }

    /// A client that has taken not one byte for long has gone, or is out to use up connections, ours and the handler's.
    func lookForStall() {
        stallDeadline = nil
        guard !machine.isClosed, let context else { return }
        let waiting = bytesWaiting(context)
        guard waiting > 0 else { return }
        if taken != written - waiting {
            (taken, takenFor) = (written - waiting, .zero)
        } else {
            // Looks are counted, not time: while the process stood still nobody could take anything.
            takenFor = takenFor + shard.stallDeadlines.duration
            guard takenFor < stallPatience else {
                if record.isOpen { record.reason = "client_stalled" }
                return reset()
            }
        }
        stallDeadline = shard.stallDeadlines.arm(self, at: shard.now)
    }

    private func bytesWaiting(_ context: ChannelHandlerContext) -> Int {
        do {
            return try context.channel.syncOptions?.getOption(.bufferedWritableBytes) ?? 0
        } catch {
            // A channel that is closed holds nothing.
            return 0
        }
    }
}
