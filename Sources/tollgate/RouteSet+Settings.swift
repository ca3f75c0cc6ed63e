// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits
import Settings

extension RouteSet {
    /// The routes in force, those that documents told among them.
    static func published(_ settings: Settings) -> Published {
        let listed = settings.discovery?.listed.count ?? settings.routes.count
        var routes = settings.routes.enumerated().map { index, route in
            Route(route, of: settings, isFromDocument: index >= listed)
        }
        // Every path is known and protected.
        if routes.isEmpty, settings.discovery == nil {
            routes = [Route(Settings.Route(path: "/{rest*}"), of: settings, isFromDocument: false)]
        }
        return published(routes, awaitsDocument: settings.awaitsRoutes)
    }
}

extension RouteSet.Route {
    fileprivate init(_ route: Settings.Route, of settings: Settings, isFromDocument: Bool) {
        let isOpen = settings.keys.allowsAnonymous && route.scopes.isEmpty
        let access = route.isPublic ? Access.public : isOpen ? Access.optional : Access.key
        self.init(route.path, methods: route.methods, access: access)
        isMCP = route.isMCP
        isThrottled = route.isThrottled
        scopes = route.scopes
        toolScopes = route.toolScopes.map { .init(tools: $0.tools.text, scopes: $0.scopes) }
        if isThrottled { policies = settings.policies.filter { $0.mayAsk(about: route, access) }.map(\.name) }
        self.isFromDocument = isFromDocument
    }
}

extension Policy {
    /// Whether it is charged for calls of the route that are let through (docs/design.md, "Who pays").
    fileprivate func mayAsk(about route: Settings.Route, _ access: String) -> Bool {
        guard route.isMCP || !match.readsContent else { return false }
        let methods = route.methods.isEmpty ? match.methods + ["GET"] : route.methods
        guard methods.contains(where: { match.covers(routes: [route.path], method: $0) }) else { return false }
        let asksStrangers = callers != .authenticated && (subject == .address || subject == .global)
        let asksKeys = callers != .anonymous
        return switch access {
        case RouteSet.Route.Access.public: asksStrangers
        case RouteSet.Route.Access.key: asksKeys
        default: asksStrangers || asksKeys
        }
    }
}
