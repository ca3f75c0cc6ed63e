// SPDX-License-Identifier: Apache-2.0

import Limits
import Settings

/// What a configuration says of `mcp` routes, as the loops use it.
struct MessageOptions: Sendable {
    /// Of one body, before it is known what it asks for.
    let bodyBytes: Int
    let bindsSessions: Bool
    /// The handler refuses messages whose fields say otherwise.
    let trustsFields: Bool
    /// Of refusals that no policy makes.
    let rejection: Policy.Reject
    let browserGuard: BrowserGuard
    /// Those that logs and metrics tell apart.
    let tools: NamedTools

    init(_ settings: Settings) {
        bodyBytes = settings.limits.mcpBodyBytes
        bindsSessions = settings.mcp.bindsSessions
        trustsFields = settings.mcp.trustsHeaders
        rejection = settings.mcp.reject
        browserGuard = BrowserGuard(hosts: settings.mcp.hosts, origins: settings.mcp.origins)
        tools = NamedTools(settings.policies, settings.routes)
    }
}
