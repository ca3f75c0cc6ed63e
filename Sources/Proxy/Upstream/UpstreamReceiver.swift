// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// A request as this side sees it: it waits for a connection to the handler, then takes what comes on it.
///
/// The pool answers once, by ``upstreamArrived(_:isReused:)`` or ``upstreamMissing(_:)``, perhaps before it returns. The
/// others come from the connection that the receiver has attached to itself; within each of them that may end.
protocol UpstreamReceiver: AnyObject {
    func upstreamArrived(_ connection: UpstreamConnection, isReused: Bool)
    func upstreamMissing(_ fault: Exchange.Fault)

    /// The handler takes bytes again.
    func upstreamTakesBody()
    /// An interim head but 101, perhaps one of several.
    func upstreamInformed(_ response: ResponseHead)
    /// The final head.
    func upstreamBegan(_ response: ResponseHead, on connection: UpstreamConnection)
    /// A 101 instead; what follows is no HTTP.
    func upstreamSwitched(_ response: ResponseHead, on connection: UpstreamConnection)
    /// A part of the body, never empty, out of its framing.
    func upstreamSent(_ payload: ByteBuffer)
    /// - Parameter isReusable: the connection may carry another request.
    func upstreamEnded(trailers: ByteBuffer?, isReusable: Bool)
    /// What comes is no response. The connection is still the receiver's to close.
    func upstreamFailed(_ fault: Exchange.Fault)
    /// The connection is gone, and the response isn't whole.
    func upstreamClosed()

    /// All that could be read for now was passed on.
    func flushResponse()
    /// False while nothing is to be read for it.
    var isWritable: Bool { get }
}
