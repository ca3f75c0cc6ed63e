// SPDX-License-Identifier: Apache-2.0

import Limits
import Settings

/// Which tools a caller may call on a route, by the rules of its key and by the scopes that the route's tools take.
struct ToolRules {
    private let access: ToolAccess
    private let required: [Settings.ToolScopes]
    private let scopes: KeyScopes

    /// - Returns: nil where every tool may be called.
    init?(_ access: ToolAccess?, _ required: [Settings.ToolScopes], of scopes: KeyScopes) {
        guard access != nil || !required.isEmpty else { return nil }
        self.access = access ?? ToolAccess()
        self.required = required
        self.scopes = scopes
    }

    func permits(_ tool: [UInt8]) -> Bool {
        access.permits(tool) && scopes.missing(of: required.scopes(ofTool: tool)).isEmpty
    }
}

extension [Settings.ToolScopes] {
    /// - Parameter tool: nil for a call without a readable name, which may be of any: a handler can find one elsewhere.
    func scopes(ofTool tool: [UInt8]?) -> [String] {
        filter { rule in tool.map(rule.tools.matches) ?? true }.flatMap(\.scopes)
    }
}
