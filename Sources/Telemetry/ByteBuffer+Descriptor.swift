// SPDX-License-Identifier: Apache-2.0

import LibC
import NIOCore

extension ByteBuffer {
    /// One `write` of what can be read; what was taken is gone from the front.
    ///
    /// - Returns: 0, or the `errno`. Nothing taken counts as `EIO`: no file does that, and trying again might not end.
    mutating func drain(to descriptor: CInt) -> CInt {
        let count = withUnsafeReadableBytes { bytes in
            LibC.write(descriptor, bytes.baseAddress, bytes.count)
        }
        guard count >= 0 else { return errno }
        moveReaderIndex(forwardBy: count)
        return count == 0 ? EIO : 0
    }
}
