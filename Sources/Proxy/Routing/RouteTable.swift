// SPDX-License-Identifier: Apache-2.0

package import HTTP1
import NIOCore
package import Settings

/// Which route a request takes, decided before any credential is looked at (docs/design.md, "The order of a request").
///
/// **No spelling of a path asks for less than the path.** What is ambiguous is refused by `RequestTarget`. Beyond that
/// handlers differ in what they take for the same path: some ignore the case of letters, a slash at the end or doubled, or
/// decode `%3A` before they route. So where a parameter matched, the path is matched again as the most careless handler would
/// read it; if that gives other routes, the request is asked for what all of them ask for.
package struct RouteTable: Sendable {
    package enum Match: Equatable {
        /// Index into the configured routes, and those of other routes that a careless handler may read the path as.
        case route(Int, loose: [Int])
        /// No routes are configured: everything is known and protected …
        case anything
        /// … but this: whoever only looks is served without a key.
        case wellKnown
        case unknown
        /// With the value of Allow, the union over all routes of that path, and the first of these routes: it says in which
        /// form the request is refused.
        case methodNotAllowed(allow: [UInt8], route: Int?)
    }

    fileprivate struct Entry: Sendable {
        var methods: MethodSet
        var takesAllMethods: Bool
        /// Routes before it with the same pattern, which take what they take in any spelling.
        var before: [Int] = []
        /// Without parameters: a path that it matches is the one that was listed, in so many words.
        var isLiteral: Bool
        /// Serves `/.well-known` and what is below, if its pattern matches.
        var servesWellKnown: Bool

        func takes(methodOf head: RequestHead) -> Bool {
            takesAllMethods || methods.contains(methodOf: head)
        }
    }

    private let entries: [Entry]
    private let trie: RouteTrie
    /// The same routes for paths read loosely; nil where that can't make a difference.
    private let looseTrie: RouteTrie?
    private let mergesSlashes: Bool
    private let isClosed: Bool
    /// A document will tell others.
    let awaitsMore: Bool
    /// Entries before it are listed, others told by a document: those have what no listed one has, by any of its methods.
    private let listed: Int

    /// - Parameters:
    ///   - routes: validated by Settings. An `mcp` route has POST, GET and DELETE unless it says otherwise, on its
    ///     path, on `<path>/` and on everything below.
    ///   - listed: so many of them, the first, come from whoever runs the sidecar; nil for all.
    ///   - isClosed: where there are none, nothing is known, rather than everything.
    ///   - awaitsMore: what is unknown may be a route all the same.
    package init(
        _ routes: [Settings.Route], listed: Int? = nil, mergesSlashes: Bool = false, isClosed: Bool = false,
        awaitsMore: Bool = false
    ) {
        self.mergesSlashes = mergesSlashes
        self.isClosed = isClosed
        self.awaitsMore = awaitsMore
        let listed = listed ?? routes.count
        self.listed = listed
        let patterns = routes.map { route in
            let listed = mergesSlashes ? RoutePattern(route.path).withMergedSlashes : RoutePattern(route.path)
            return route.isMCP ? [listed, listed.below] : [listed]
        }
        var entries = zip(routes, patterns).map { Entry($0, $1[0]) }
        var seen: [[RoutePattern]: [Int]] = [:]
        for index in entries.indices {
            entries[index].before = seen[patterns[index], default: []]
            seen[patterns[index], default: []].append(index)
        }
        var trie = RouteTrie()
        for (index, patterns) in patterns.enumerated() {
            for pattern in patterns { trie.insert(pattern, index) }
        }
        self.trie = trie
        looseTrie = entries.count > 1 ? Self.looseTrie(patterns) : nil
        if let looseTrie {
            // A document may write what is listed in another spelling; only then a path of its own is read again.
            for index in listed..<entries.count where entries[index].isLiteral {
                let path = LoosePath.path(patterns[index][0].path.span)
                entries[index].isLiteral = looseTrie.first(matching: path.span) { $0 < listed } == nil
            }
        }
        self.entries = entries
    }

    private static func looseTrie(_ patterns: [[RoutePattern]]) -> RouteTrie {
        var trie = RouteTrie()
        for (index, patterns) in patterns.enumerated() {
            // `/files/` and `/files` are one path there.
            let open = patterns.filter { $0.segments.last == .rest }.map(\.withoutRest)
            var loose: [RoutePattern] = []
            for pattern in (patterns + open).map(\.loose) where !loose.contains(pattern) { loose.append(pattern) }
            for pattern in loose { trie.insert(pattern, index) }
        }
        return trie
    }

    /// None are configured: every path is known, and protected.
    var isEmpty: Bool { entries.isEmpty && !isClosed }

    /// Reads the path of a request, as strictly as the routes need it.
    package func target(of head: RequestHead) -> RequestTarget.Verdict {
        RequestTarget.judge(head, isStrict: !isEmpty, mergesSlashes: mergesSlashes)
    }

    /// - Parameters:
    ///   - target: of that same head, which still has its bytes.
    ///   - isPreflight: asks about another method than its own, and is let through to any route of the path.
    package func match(_ target: RequestTarget, of head: RequestHead, isPreflight: Bool = false) -> Match {
        switch target.path {
        case .none: return matchWithoutPath(head)
        case .rewritten(let path): return match(path.span, target, head, isPreflight)
        case .asSent:
            return match(
                head.section.bytes.readableBytesUInt8Span.extracting(target.raw), target, head, isPreflight)
        }
    }

    /// Whether a request would take the same routes at another path.
    func matchesAlike(_ head: RequestHead, at path: [UInt8], isPreflight: Bool) -> Bool {
        guard case .target(let target) = target(of: head),
            let other = RequestTarget(path, mergesSlashes: mergesSlashes)
        else { return false }
        return match(target, of: head, isPreflight: isPreflight) == match(other, of: head, isPreflight: isPreflight)
    }

    /// `OPTIONS *` asks about the server, which is no route's business. CONNECT is refused everywhere; nothing is allowed on
    /// what it names.
    private func matchWithoutPath(_ head: RequestHead) -> Match {
        if head.method == .connect { return .methodNotAllowed(allow: [], route: nil) }
        return isEmpty ? .anything : .unknown
    }

    private func match(
        _ path: Span<UInt8>, _ target: RequestTarget, _ head: RequestHead, _ isPreflight: Bool
    ) -> Match {
        // TRACE is answered by nobody: it would show the handler's view of the request, identity included.
        if head.method == .trace { return methodNotAllowed(path, target) }
        let isOdd = head.hasOddMethod
        if isEmpty {
            if isOdd { return methodNotAllowed(path, target) }
            return target.isWellKnown ? .wellKnown : .anything
        }
        var isKnown = false
        let candidates = candidates(path, target)
        let entry = trie.first(matching: path) { entry in
            guard candidates.contains(entry), serves(entry, target) else { return false }
            isKnown = true
            return (isPreflight || entries[entry].takes(methodOf: head)) && !isOdd
        }
        guard let entry else {
            return isKnown ? methodNotAllowed(path, target) : .unknown
        }
        if isPreflight || entries[entry].isLiteral { return .route(entry, loose: []) }
        return loose(path, target, head, not: entry)
    }

    /// Those that decide about a path: the listed ones where one of them has it, whatever its methods are.
    private func candidates(_ path: Span<UInt8>, _ target: RequestTarget) -> Range<Int> {
        guard listed < entries.count else { return entries.indices }
        let isListed = trie.first(matching: path) { $0 < listed && serves($0, target) } != nil
        return isListed ? 0..<listed : listed..<entries.count
    }

    /// A client that looks for a document below `/.well-known` must not be told to bring a key: it would start OAuth. So no
    /// protected route covers it by a parameter; only one that names it, or a public one.
    private func serves(_ entry: Int, _ target: RequestTarget) -> Bool {
        !target.isWellKnown || entries[entry].servesWellKnown
    }

    /// With the routes of a careless reading, where they are others.
    private func loose(
        _ path: Span<UInt8>, _ target: RequestTarget, _ head: RequestHead, not strict: Int
    ) -> Match {
        guard let looseTrie else { return .route(strict, loose: []) }
        // Most paths are written as the most careless handler reads them, and not copied.
        guard LoosePath.isNormal(path) else {
            return loose(LoosePath.path(path).span, by: looseTrie, target, head, not: strict)
        }
        return loose(path, by: looseTrie, target, head, not: strict)
    }

    private func loose(
        _ path: Span<UInt8>, by looseTrie: RouteTrie, _ target: RequestTarget, _ head: RequestHead, not strict: Int
    ) -> Match {
        var candidates = entries.indices
        var first: Int?
        if strict >= listed {
            // What is listed wins in this reading too.
            first = looseTrie.first(matching: path) { $0 < listed && serves($0, target) }
            if first != nil { candidates = 0..<listed }
        }
        let loose = looseTrie.all(matching: path) { entry in
            candidates.contains(entry) && serves(entry, target) && entries[entry].takes(methodOf: head)
                && !entries[entry].before.contains { entries[$0].takes(methodOf: head) }
        }
        if let first, loose.isEmpty { return .methodNotAllowed(allow: entries[first].methods.allow, route: first) }
        return .route(strict, loose: loose == [strict] ? [] : loose.filter { $0 != strict })
    }

    /// What the path takes, for a preflight: the union over all its routes, as in Allow.
    func methods(of target: RequestTarget, in head: RequestHead) -> [UInt8] {
        switch target.path {
        case .none: return MethodSet.common.allow
        case .rewritten(let path): return serving(path.span, target).methods.allow
        case .asSent:
            return serving(head.section.bytes.readableBytesUInt8Span.extracting(target.raw), target).methods.allow
        }
    }

    private func methodNotAllowed(_ path: Span<UInt8>, _ target: RequestTarget) -> Match {
        let (methods, route) = serving(path, target)
        return .methodNotAllowed(allow: methods.allow, route: route)
    }

    /// What all routes of the path take together, and the first of them.
    private func serving(_ path: Span<UInt8>, _ target: RequestTarget) -> (methods: MethodSet, first: Int?) {
        guard !isEmpty else { return (target.isWellKnown ? .wellKnown : .common, nil) }
        var methods = MethodSet()
        var first: Int?
        let candidates = candidates(path, target)
        _ = trie.first(matching: path) { entry in
            guard candidates.contains(entry), serves(entry, target) else { return false }
            methods.formUnion(entries[entry].methods)
            first = first ?? entry
            return false
        }
        return (methods, first)
    }
}

extension RouteTable.Entry {
    fileprivate init(_ route: Settings.Route, _ pattern: RoutePattern) {
        let methods = route.isMCP && route.methods.isEmpty ? ["DELETE", "GET", "POST"] : route.methods
        self.init(
            methods: methods.isEmpty ? .common : MethodSet(methods), takesAllMethods: methods.isEmpty,
            isLiteral: pattern.isLiteral && !route.isMCP,
            servesWellKnown: route.isPublic || pattern.namesWellKnown)
    }
}
