// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

import NIOCore

extension ByteBuffer {
    /// One `write` of what can be read; what was taken is gone from the front.
    ///
    /// - Returns: 0, or the `errno`. Nothing taken counts as `EIO`: no file does that, and trying again might not end.
    mutating func drain(to descriptor: CInt) -> CInt {
        let count = withUnsafeReadableBytes { bytes in
            #if canImport(Glibc)
                Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            #elseif canImport(Musl)
                Musl.write(descriptor, bytes.baseAddress, bytes.count)
            #elseif canImport(Darwin)
                Darwin.write(descriptor, bytes.baseAddress, bytes.count)
            #endif
        }
        guard count >= 0 else { return errno }
        moveReaderIndex(forwardBy: count)
        return count == 0 ? EIO : 0
    }
}
