// SPDX-License-Identifier: Apache-2.0

// The system's C library under one name, so that nobody else asks which one it is.

#if canImport(Glibc)
    @_exported public import Glibc
#elseif canImport(Musl)
    @_exported public import Musl
#elseif canImport(Darwin)
    @_exported public import Darwin
#endif
