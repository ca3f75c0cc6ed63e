// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// Of pages that only one of `cors.allow_origins` and `mcp.origins` knows.
    func warnOfPages(_ root: Mapping, _ problems: inout ProblemList) {
        guard let cors, !mcp.origins.isEmpty, routes.contains(where: \.isMCP) else { return }
        for origin in cors.allowOrigins {
            switch origin {
            case .any:
                root.warn(
                    CORS.allowOrigins,
                    "these are all pages, and mcp routes refuse those that mcp.origins lacks: list the pages here",
                    &problems)
            case .exactly(let page) where mcp.lists(page): break
            case .exactly(let page):
                root.warn(
                    CORS.allowOrigins, "\(page) isn't in mcp.origins, so mcp routes refuse that page: add it there",
                    &problems)
            }
        }
        guard !cors.allowOrigins.contains(.any) else { return }
        // One for any port is more than a page: those of this machine are there by default.
        for page in mcp.origins where !page.hasSuffix(MCP.anyPort) && !cors.allowOrigins.contains(.exactly(page)) {
            root.warn(
                MCP.origins,
                "\(page) isn't in cors.allow_origins, so browsers keep answers from that page: add it there",
                &problems)
        }
    }
}

extension Settings.MCP {
    /// As a request of that page is judged.
    fileprivate func lists(_ page: String) -> Bool {
        origins.contains { entry in
            guard entry.hasSuffix(Self.anyPort) else { return entry == page }
            return page == entry.dropLast(Self.anyPort.count) || page.hasPrefix(entry.dropLast())
        }
    }

    fileprivate static let anyPort = ":*"
}
