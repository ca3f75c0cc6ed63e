// SPDX-License-Identifier: Apache-2.0

import Octets

extension OutputRawSpan {
    /// `METHOD path HTTP/1.1` and CRLF for the next hop: the target in origin form (or `*`, or CONNECT's authority),
    /// whatever form it came in (RFC 9112 §3.2.1). No longer than the line that came, but for one octet.
    ///
    /// - Parameter target: another one, of visible ASCII, in place of its own.
    package mutating func appendRequestLine(of head: RequestHead, to target: [UInt8]? = nil) {
        append(head.methodRange, of: head.section)
        append(" ")
        if let target { append(target) } else { appendTarget(of: head) }
        append(" HTTP/1.1\r\n")
    }

    private mutating func appendTarget(of head: RequestHead) {
        switch head.targetForm {
        case .origin:
            append(head.pathRange, of: head.section)
        case .absolute:
            if head.view(of: head.pathRange).first != UInt8(ascii: "/") { append("/") }
            append(head.pathRange, of: head.section)
        case .asterisk:
            append("*")
        case .authority:
            append(head.targetRange, of: head.section)
        }
    }

    /// `HTTP/1.1 status reason` and CRLF, status and reason as the handler wrote them.
    package mutating func appendStatusLine(of head: ResponseHead) {
        append("HTTP/1.1 ")
        appendDecimal(head.status)
        append(" ")
        append(head.reasonRange, of: head.section)
        append("\r\n")
    }

    /// `HTTP/1.1 status phrase` and CRLF for a response of our own.
    package mutating func appendStatusLine(_ status: Int) {
        append("HTTP/1.1 ")
        appendDecimal(status)
        append(" ")
        append(StatusPhrase.of(status))
        append("\r\n")
    }
}
