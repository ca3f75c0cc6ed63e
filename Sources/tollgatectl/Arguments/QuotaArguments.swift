// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Directory
import Limits

/// Whose quotas a command is about.
struct QuotaArguments: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "An organization (acme), a key's id (acme/7h3kq2mzxb), an address (203.0.113.9, 2001:db8::1), or unix: for those that come by a Unix socket.",
            valueName: "name|id|address"))
    var subject: String?
    @Flag(help: "Instead of somebody's, the limits that count all callers together.")
    var global = false
    @Flag(help: "Instead of somebody's, those of all organizations and keys that are nearly used up.")
    var all = false

    func validate() throws {
        guard all else {
            _ = try parsed
            return
        }
        guard subject == nil, !global else { throw ValidationError("with --all, give nobody and no --global") }
    }

    var parsed: QuotaSubject {
        get throws { try QuotaSubject(argument: subject, isGlobal: global) }
    }
}

extension QuotaSubject {
    /// - Parameter text: nil where none is given, which is right with `--global` alone.
    init(argument text: String?, isGlobal: Bool = false) throws {
        switch (text, isGlobal) {
        case (nil, true): self = .global
        case (let text?, false):
            guard let subject = QuotaSubject(text) else {
                throw ValidationError(
                    "<name|id|address>: expected an organization such as acme, a key's id such as acme/7h3kq2mzxb, "
                        + "or an address such as 203.0.113.9")
            }
            self = subject
        case (nil, false), (.some, true):
            throw ValidationError("give an organization, a key's id or an address, or else --global")
        }
    }

    /// `organization acme`, as messages call it.
    var name: String {
        switch self {
        case .organization(let id): "organization \(id.text)"
        case .key(let id): "key \(id.text)"
        case .unixPeers: "Unix sockets' peers"
        case .address(let block): "address \(block.shortest)"
        case .global: "everybody"
        }
    }

    var json: JSON {
        switch self {
        case .organization(let id): .object([("kind", .string("org")), ("id", .string(id.text))])
        case .key(let id): .object([("kind", .string("key")), ("id", .string(id.text))])
        case .address(let block): .object([("kind", .string("address")), ("id", .string(block.shortest))])
        case .unixPeers: .object([("kind", .string("address")), ("id", .string("unix"))])
        case .global: .object([("kind", .string("global")), ("id", .null)])
        }
    }
}

extension AddressBlock {
    /// One address without its length.
    fileprivate var shortest: String { prefixLength == base.family.bits ? "\(base)" : "\(self)" }
}

/// Of an argument that names a policy.
func checkPolicyName(_ name: String) throws {
    guard !Policy.isName(name) else { return }
    let lower = name.lowercased()
    let guess = Policy.isName(lower) ? " (did you mean \(lower)?)" : ""
    throw ValidationError("<policy>: expected a policy's name such as org\(guess)")
}
