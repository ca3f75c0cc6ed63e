// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits

/// Of an argument that names a key. A refusal doesn't repeat what was given, as the parser's own would: it may be a key in
/// place of its id.
///
/// - Parameter number: which of several arguments it is.
func keyID(_ text: String, number: Int? = nil) throws -> KeyID {
    guard let id = KeyID(text) else {
        let which = number.map { " number \($0)" } ?? ""
        throw ValidationError(
            "<id>\(which): expected what key issue named the key, such as acme/7h3kq2mzxb, not the key itself")
    }
    return id
}
