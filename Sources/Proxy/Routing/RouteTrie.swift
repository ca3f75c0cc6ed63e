// SPDX-License-Identifier: Apache-2.0

/// Patterns by their segments, so that a look-up takes as long as the path, not as there are routes.
///
/// A walk meets the patterns that match in the order of precedence: segment by segment text, then `{name}`, then `{rest*}`;
/// of equal ones, the first inserted. Each node is visited at most once, whatever the path. Nothing is allocated.
struct RouteTrie: Sendable {
    private struct Node: Sendable {
        /// Sorted by text.
        var texts: [(text: [UInt8], child: Int)] = []
        var parameter: Int?
        /// Entries whose pattern ends here.
        var ends: [Int] = []
        /// Entries whose pattern goes on with `{rest*}`.
        var rests: [Int] = []
    }

    private var nodes = [Node()]

    mutating func insert(_ pattern: RoutePattern, _ entry: Int) {
        var node = 0
        for segment in pattern.segments {
            switch segment {
            case .text(let text): node = child(of: node, text)
            case .parameter: node = parameter(of: node)
            case .rest:
                nodes[node].rests.append(entry)
                return
            }
        }
        nodes[node].ends.append(entry)
    }

    /// The first entry in order of precedence that matches and is wanted.
    ///
    /// - Parameter path: empty, or beginning with a slash.
    func first(matching path: Span<UInt8>, where isWanted: (Int) -> Bool) -> Int? {
        walk(from: 0, path, segmentAt: 1) { $0.first(where: isWanted) }
    }

    /// All entries that are wanted of the pattern of which the first is, which need not be written alike.
    func all(matching path: Span<UInt8>, where isWanted: (Int) -> Bool) -> [Int] {
        var found: [Int] = []
        _ = walk(from: 0, path, segmentAt: 1) { entries in
            guard let first = entries.first(where: isWanted) else { return nil }
            // Most often it is the only one, and nothing is copied.
            found = entries.count == 1 ? entries : entries.filter(isWanted)
            return first
        }
        return found
    }

    /// `start` is one behind the slash before the segment, so beyond the end if there is no further segment.
    private func walk(
        from node: Int, _ path: Span<UInt8>, segmentAt start: Int, choosing choose: ([Int]) -> Int?
    ) -> Int? {
        guard start <= path.count else { return choose(nodes[node].ends) }
        var end = start
        while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
        if let child = find(path.extracting(start..<end), in: node),
            let entry = walk(from: child, path, segmentAt: end + 1, choosing: choose)
        {
            return entry
        }
        if end > start, let child = nodes[node].parameter,
            let entry = walk(from: child, path, segmentAt: end + 1, choosing: choose)
        {
            return entry
        }
        return choose(nodes[node].rests)
    }

    private func find(_ segment: Span<UInt8>, in node: Int) -> Int? {
        var low = 0
        var high = nodes[node].texts.count
        while low < high {
            let middle = (low + high) / 2
            switch Self.compare(segment, nodes[node].texts[middle].text) {
            case 0: return nodes[node].texts[middle].child
            case ..<0: high = middle
            default: low = middle + 1
            }
        }
        return nil
    }

    /// By length first: that decides nearly always.
    private static func compare(_ one: Span<UInt8>, _ other: [UInt8]) -> Int {
        guard one.count == other.count else { return one.count - other.count }
        for position in 0..<one.count where one[position] != other[position] {
            return Int(one[position]) - Int(other[position])
        }
        return 0
    }
}

// MARK: - Building

extension RouteTrie {
    private mutating func child(of node: Int, _ text: [UInt8]) -> Int {
        if let child = find(text.span, in: node) { return child }
        let place = nodes[node].texts.firstIndex { Self.compare(text.span, $0.text) < 0 }
        nodes[node].texts.insert((text, nodes.count), at: place ?? nodes[node].texts.count)
        nodes.append(Node())
        return nodes.count - 1
    }

    private mutating func parameter(of node: Int) -> Int {
        if let child = nodes[node].parameter { return child }
        nodes[node].parameter = nodes.count
        nodes.append(Node())
        return nodes.count - 1
    }
}
