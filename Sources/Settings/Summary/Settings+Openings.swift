// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// What anybody reaches the handler by without a key, a line each, for who checks a configuration.
    var openings: [String] {
        var openings: [String] = []
        if keys.allowsAnonymous { openings.append("everything that asks for no scope, by keys.anonymous") }
        if routes.isEmpty, discovery == nil { openings.append("GET, HEAD and OPTIONS of /.well-known/") }
        for route in routes where route.isPublic {
            openings.append("\(route.methodsInWords) of \(route.path)")
        }
        if cors == nil, forwardsPreflights {
            openings.append("preflights (OPTIONS as browsers send it) of every path, unless preflights is refuse")
        }
        return openings
    }
}
