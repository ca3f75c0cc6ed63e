// SPDX-License-Identifier: Apache-2.0

import Foundation

/// How many rounds a random test takes: more where `Tests/run --long` asks for them, fewer in a program with a sanitizer in
/// it, which is ten times slower.
package enum Rounds {
    package static func usually(_ usual: Int, long: Int? = nil) -> Int {
        let environment = ProcessInfo.processInfo.environment
        if environment["TOLLGATE_SHORT"] != nil { return max(1, usual / 20) }
        return environment["TOLLGATE_LONG"] == nil ? usual : long ?? usual
    }
}
