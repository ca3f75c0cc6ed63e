// SPDX-License-Identifier: Apache-2.0

package import NIOCore

extension ByteBuffer {
    /// Writes in one stretch of storage, which has room for so many octets and mostly for more. Whether fewer would have been
    /// too few is looked at while tests run: too short a stretch traps.
    @inline(__always)
    package mutating func writeStretch(atMost size: Int, _ write: (inout OutputRawSpan) -> Void) {
        writeWithOutputRawSpan(minimumWritableBytes: size) { output in
            write(&output)
            assert(output.byteCount <= size, "\(output.byteCount) octets were written, \(size) were promised")
        }
    }
}
