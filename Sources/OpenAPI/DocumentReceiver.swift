// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore
import TLS

/// One request and its answer, which it keeps up to the largest document; the connection ends with it.
final class DocumentReceiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case head
        case body(BodyDecoder, etag: [UInt8]?)
        case over
    }

    private let request: ByteBuffer
    private let answer: EventLoopPromise<DocumentFetch.Answer>
    private let timeout: TimeAmount
    /// Nil without TLS.
    private let security: SecuredConnection?
    private var timer: Scheduled<Void>?
    private var state = State.head
    private var parser = ResponseHeadParser()
    /// Heads before that of the answer.
    private var interim = 0
    private var input = ByteBuffer()
    private var received: [UInt8] = []

    init(
        request: ByteBuffer, _ answer: EventLoopPromise<DocumentFetch.Answer>, by security: SecuredConnection? = nil,
        within timeout: TimeAmount
    ) {
        self.request = request
        self.security = security
        self.answer = answer
        self.timeout = timeout
    }

    /// To a channel that is connected.
    func handlerAdded(context: ChannelHandlerContext) {
        guard context.channel.isActive else { return end(context, .failure(.cutOff)) }
        let channel = NIOLoopBound(context, eventLoop: context.eventLoop)
        let receiver = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: timeout) {
            receiver.value.end(channel.value, .failure(.tooSlow))
        }
        if security == nil { context.writeAndFlush(wrapOutboundOut(request), promise: nil) }
        context.channel.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in
            receiver.value.end(channel.value, .failure(.cutOff))
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var octets = unwrapInboundIn(data)
        input.writeBuffer(&octets)
        do throws(FetchError) {
            try process(context)
        } catch {
            end(context, .failure(error))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .body(var decoder, let etag) = state, (try? decoder.finishAtEOF()) != nil {
            end(context, .success(.document(received, etag: etag)))
        } else {
            end(context, .failure(.cutOff))
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let security, TLSClient.isHandshake(event) {
            if let insecurity = security.establish() { return end(context, .failure(.insecure(insecurity))) }
            context.writeAndFlush(wrapOutboundOut(request), promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(context, .failure(security?.insecurity(for: error).map { .insecure($0) } ?? .cutOff))
    }

    private func process(_ context: ChannelHandlerContext) throws(FetchError) {
        while true {
            switch state {
            case .head:
                guard try readHead(context) else {
                    input.discardReadBytes()
                    return
                }
            case .body(var decoder, let etag):
                let event: BodyEvent?
                do {
                    event = try decoder.decode(&input)
                } catch {
                    throw error == .tooLarge ? .tooLarge : .notHTTP
                }
                state = .body(decoder, etag: etag)
                switch event {
                case .payload(let payload)?: received.append(contentsOf: payload.readableBytesView)
                case .end?: return end(context, .success(.document(received, etag: etag)))
                case nil:
                    input.discardReadBytes()
                    return
                }
            case .over: return
            }
        }
    }

    /// - Returns: whether there may be more to do.
    private func readHead(_ context: ChannelHandlerContext) throws(FetchError) -> Bool {
        var head = ResponseHead()
        do {
            guard try parser.parse(&input, answering: .get, into: &head) else { return false }
        } catch {
            throw .notHTTP
        }
        switch head.status {
        case 100..<200:
            interim += 1
            // What has more to say beforehand won't come to the point.
            guard interim <= 16 else { throw .notHTTP }
            return true
        case 200: break
        case 304:
            end(context, .success(.unchanged))
            return false
        default: throw .status(head.status)
        }
        if let coding = head.value(of: .contentEncoding), head.string(in: coding).lowercased() != "identity" {
            throw .encoded
        }
        state = .body(
            BodyDecoder(framing: head.framing, maxBytes: UInt64(Document.mostOctets), isRequest: false),
            etag: Self.etag(of: head))
        return true
    }

    private static func etag(of head: ResponseHead) -> [UInt8]? {
        guard let name = FieldName("ETag"), let field = head.fields.first(where: { head.section.has($0, name: name) })
        else { return nil }
        return head.octets(in: field.valueRange)
    }

    private func end(_ context: ChannelHandlerContext, _ result: Result<DocumentFetch.Answer, FetchError>) {
        if case .over = state { return }
        state = .over
        timer?.cancel()
        answer.completeWith(result.mapError { $0 as any Error })
        context.close(promise: nil)
    }
}
