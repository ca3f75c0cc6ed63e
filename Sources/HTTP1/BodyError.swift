// SPDX-License-Identifier: Apache-2.0

/// Why a body was refused, or is not whole. Its connection can't be used any further.
package enum BodyError: Error, Sendable, Equatable, CaseIterable {
    case malformedChunkSize
    case malformedChunkExtension
    case chunkLineTooLong
    case missingChunkEnd
    case malformedTrailer
    case forbiddenTrailer
    case trailersTooLarge
    /// More payload than the limit given.
    case tooLarge
    /// The connection ended before the body did.
    case truncated
}

extension BodyError {
    /// The status to answer a request with.
    package var status: Int {
        self == .tooLarge ? 413 : 400
    }

    /// What was wrong, for the `detail` of the answer.
    package var detail: StaticString {
        switch self {
        case .malformedChunkSize: "Malformed chunk size"
        case .malformedChunkExtension: "Malformed chunk extension"
        case .chunkLineTooLong: "Chunk extension too long"
        case .missingChunkEnd: "Chunk longer than its size"
        case .malformedTrailer: "Malformed trailer section"
        case .forbiddenTrailer: "Trailer section with a framing, routing or connection field"
        case .trailersTooLarge: "Trailer section too large"
        case .tooLarge: "Request body too large"
        case .truncated: "Incomplete body"
        }
    }
}
