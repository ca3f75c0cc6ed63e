// SPDX-License-Identifier: Apache-2.0

import FuzzSubjects
import Foundation
import Synchronization

/// `Fuzz SUBJECT [libFuzzer's options and folders]`: feeds one subject by coverage until it is told to stop, or a promise is
/// broken. Tests/Fuzz/run builds and runs it.
@main
enum Fuzz {
    private static let subject = Mutex<Subject?>(nil)

    static func main() {
        guard CommandLine.arguments.count > 1, let chosen = Subject(rawValue: CommandLine.arguments[1]) else {
            print("usage: Fuzz \(Subject.allCases.map(\.rawValue).joined(separator: "|")) [OPTION...] [FOLDER...]")
            return
        }
        subject.withLock { $0 = chosen }
        // libFuzzer reads the arguments as main gets them: the program's name, then its own.
        var arguments =
            (CommandLine.arguments.prefix(1) + CommandLine.arguments.dropFirst(2)).map { strdup($0) } + [nil]
        arguments.withUnsafeMutableBufferPointer { pointer in
            var count = CInt(pointer.count - 1)
            var start = pointer.baseAddress
            _ = run(&count, &start) { octets, count in
                Fuzz.check(Array(UnsafeBufferPointer(start: octets, count: count)))
                return 0
            }
        }
    }

    private static func check(_ octets: [UInt8]) {
        subject.withLock { $0 }?.check(octets)
    }

    /// libFuzzer as a library (compiler-rt, `libclang_rt.fuzzer_no_main`).
    @_silgen_name("LLVMFuzzerRunDriver")
    private static func run(
        _ count: UnsafeMutablePointer<CInt>,
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
        _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    ) -> CInt
}
