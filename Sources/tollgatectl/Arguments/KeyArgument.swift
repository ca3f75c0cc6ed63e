// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits

/// The key that a verb is about.
struct KeyArgument: ParsableArguments {
    @Argument(help: "As key issue printed it: acme/7h3kq2mzxb.")
    var id: String

    func validate() throws {
        _ = try parsed
    }

    var parsed: KeyID {
        get throws { try KeyID(argument: id) }
    }
}

extension KeyID {
    /// A refusal doesn't repeat what was given, as the parser's own would: it may be a key in place of its id.
    ///
    /// - Parameter number: which of several arguments it is.
    init(argument text: String, number: Int? = nil) throws {
        guard let id = KeyID(text) else {
            let which = number.map { " number \($0)" } ?? ""
            throw ValidationError(
                "<id>\(which): expected what key issue named the key, such as acme/7h3kq2mzxb, not the key itself")
        }
        self = id
    }
}
