// SPDX-License-Identifier: Apache-2.0

/// Why a head was refused. The connection that sent it can't be read any further: what follows has no known beginning.
package enum HeadError: Error, Sendable, Equatable, CaseIterable {
    // The start line.
    case malformedRequestLine
    case malformedMethod
    case malformedTarget
    case targetDoesNotFitMethod
    case malformedStatusLine
    case unsupportedVersion
    case http2Preface

    // Lines and fields.
    case bareLineFeed
    case bareCarriageReturn
    case controlOctet
    case malformedField
    case malformedFieldName
    case blankBeforeColon
    case obsoleteFold
    case fieldNameTooLong
    case tooManyFields
    case tooLarge

    // Host.
    case missingHost
    case repeatedHost
    case malformedHost
    case hostMismatch

    // Framing.
    case malformedContentLength
    case repeatedContentLength
    case unsupportedTransferEncoding
    case repeatedTransferEncoding
    case transferEncodingInHTTP10
    case contentLengthWithTransferEncoding

    // Connection.
    case malformedConnection
    case forbiddenConnectionOption
}

extension HeadError {
    /// The status to answer a request with: 400, 431 for what is too large, 505 for a version that isn't spoken here.
    ///
    /// A transfer coding other than `chunked` is 400 and not the 501 of RFC 9112 §6.1: no client sends one in earnest, and
    /// a body whose end we would have to guess is ambiguous framing.
    package var status: Int {
        switch self {
        case .tooLarge, .tooManyFields, .fieldNameTooLong: 431
        case .unsupportedVersion: 505
        default: 400
        }
    }

    /// What was wrong, for the `detail` of the answer: a constant, so that nothing of the request is reflected.
    package var detail: StaticString {
        switch self {
        case .malformedRequestLine: "Malformed request line"
        case .malformedMethod: "Malformed method"
        case .malformedTarget: "Malformed request target"
        case .targetDoesNotFitMethod: "Request target does not fit the method"
        case .malformedStatusLine: "Malformed status line"
        case .unsupportedVersion: "HTTP version not supported"
        case .http2Preface: "HTTP/2 is not spoken on this port"
        case .bareLineFeed: "Line feed without carriage return"
        case .bareCarriageReturn: "Carriage return without line feed"
        case .controlOctet: "Control character"
        case .malformedField: "Field line without colon"
        case .malformedFieldName: "Malformed field name"
        case .blankBeforeColon: "Whitespace between field name and colon"
        case .obsoleteFold: "Folded or indented field line"
        case .fieldNameTooLong: "Field name too long"
        case .tooManyFields: "Too many fields"
        case .tooLarge: "Request header fields too large"
        case .missingHost: "Missing Host"
        case .repeatedHost: "More than one Host"
        case .malformedHost: "Malformed Host"
        case .hostMismatch: "Host differs from the request target"
        case .malformedContentLength: "Malformed Content-Length"
        case .repeatedContentLength: "More than one Content-Length"
        case .unsupportedTransferEncoding: "Transfer-Encoding other than chunked"
        case .repeatedTransferEncoding: "More than one Transfer-Encoding"
        case .transferEncodingInHTTP10: "Transfer-Encoding in HTTP/1.0"
        case .contentLengthWithTransferEncoding: "Content-Length together with Transfer-Encoding"
        case .malformedConnection: "Malformed Connection"
        case .forbiddenConnectionOption: "Connection names a field that is not connection-specific"
        }
    }
}
