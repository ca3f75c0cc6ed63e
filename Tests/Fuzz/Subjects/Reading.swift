// SPDX-License-Identifier: Apache-2.0

import HTTP1
import NIOCore

/// What our parser makes of one message, told in values that compare.
struct Reading: Equatable {
    struct Head: Equatable {
        /// Method, target and form; or status and reason.
        var start: [String]
        var version: String
        var framing: BodyFraming
        var keepsAlive: Bool
        var expectsContinue = false
        var fields: [[String]]
    }

    var head: Head?
    var payload = ""
    var trailers = ""
    var isOver = false
    /// What was left behind the message.
    var rest = ""
    var refusal: String?
}

/// Feeds one message to our parser piece by piece, as a connection would.
struct Reader {
    enum Kind {
        case request
        case response(to: Method)
    }

    var limit: UInt64?
    private let kind: Kind
    private var input = ByteBuffer()
    private var requestParser = RequestHeadParser()
    private var responseParser = ResponseHeadParser()
    private var request = RequestHead()
    private var response = ResponseHead()
    private var body: BodyDecoder?
    private var payload: [UInt8] = []
    private var reading = Reading()

    init(_ kind: Kind, limit: UInt64? = nil) {
        self.kind = kind
        self.limit = limit
    }

    static func read(
        _ octets: [UInt8], as kind: Kind, cutAt cuts: [Int] = [], endsThere: Bool = false, limit: UInt64? = nil
    ) -> Reading {
        var reader = Reader(kind, limit: limit)
        var start = 0
        for cut in cuts + [octets.count] {
            reader.feed(octets[start..<cut])
            start = cut
        }
        if endsThere { reader.end() }
        return reader.result()
    }

    mutating func feed(_ octets: ArraySlice<UInt8>) {
        input.writeBytes(octets)
        guard reading.refusal == nil else { return }
        if body == nil { readHead() }
        if body != nil { readBody() }
    }

    mutating func end() {
        guard reading.refusal == nil else { return }
        guard body != nil else {
            reading.refusal = "incomplete"
            return
        }
        do {
            if let event = try body?.finishAtEOF() { take(event) }
        } catch {
            reading.refusal = "\(error)"
        }
    }

    func result() -> Reading {
        var reading = reading
        reading.payload = latin1(payload)
        reading.rest = reading.isOver ? latin1(input.readableBytesView) : ""
        return reading
    }

    private mutating func readHead() {
        do throws(HeadError) {
            switch kind {
            case .request:
                guard try requestParser.parse(&input, into: &request) else { return }
                reading.head = Self.head(of: request)
                body = BodyDecoder(framing: request.framing, maxBytes: limit)
            case .response(let method):
                guard try responseParser.parse(&input, answering: method, into: &response) else { return }
                reading.head = Self.head(of: response)
                body = BodyDecoder(framing: response.framing, maxBytes: limit, isRequest: false)
            }
        } catch {
            reading.refusal = "\(error)"
        }
    }

    private mutating func readBody() {
        do throws(BodyError) {
            while let event = try body?.decode(&input) { take(event) }
        } catch {
            reading.refusal = "\(error)"
        }
    }

    private mutating func take(_ event: BodyEvent) {
        switch event {
        case .payload(let part):
            precondition(part.readableBytes > 0, "A payload event without payload")
            payload += part.readableBytesView
        case .end(let trailers):
            precondition(!reading.isOver, "A body ended twice")
            reading.trailers = trailers.map { latin1($0.readableBytesView) } ?? ""
            reading.isOver = true
        }
    }

    private static func head(of head: RequestHead) -> Reading.Head {
        let section = head.section
        return Reading.Head(
            start: [
                latin1(section.view(of: head.methodRange)), latin1(section.view(of: head.targetRange)),
                "\(head.targetForm)",
            ],
            version: name(head.version), framing: head.framing, keepsAlive: head.keepsAlive,
            expectsContinue: head.expectsContinue, fields: fields(of: section))
    }

    private static func head(of head: ResponseHead) -> Reading.Head {
        Reading.Head(
            start: [String(head.status), latin1(head.section.view(of: head.reasonRange))],
            version: name(head.version), framing: head.framing, keepsAlive: head.keepsAlive,
            fields: fields(of: head.section))
    }

    private static func name(_ version: HTTPVersion) -> String {
        version == .http11 ? "1.1" : "1.0"
    }

    private static func fields(of section: FieldSection) -> [[String]] {
        section.fields.map { [latin1(section.view(of: $0.nameRange)), latin1(section.view(of: $0.valueRange))] }
    }
}
