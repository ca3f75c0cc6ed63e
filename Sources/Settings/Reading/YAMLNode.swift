// SPDX-License-Identifier: Apache-2.0

/// A key that a mapping has had before.
struct RepeatedKey {
    var name: String
    var first: Position
    var position: Position
}

/// A YAML document: its values, with aliases resolved, and where each was written.
///
/// Tags are kept as they are and mean nothing here.
indirect enum YAMLNode {
    case scalar(String, isPlain: Bool, tag: String?, Position)
    case sequence([YAMLNode], tag: String?, Position)
    case mapping([(key: YAMLNode, value: YAMLNode)], tag: String?, Position)

    /// Reads the only document of a text.
    ///
    /// - Returns: nil where there is none; and the keys that mappings have more than once, in the order of the text.
    /// - Throws: the first error of syntax: nothing behind it can be told.
    static func document(parsing yaml: String) throws(YAMLError) -> (root: YAMLNode?, repeated: [RepeatedKey]) {
        let composer = YAMLComposer(try YAMLParser(yaml))
        return (try composer.document(), composer.repeated)
    }

    var mark: Position {
        switch self {
        case .scalar(_, _, _, let mark), .sequence(_, _, let mark), .mapping(_, _, let mark): mark
        }
    }
}

/// YAML 1.2.2 §10.1: tags of the failsafe schema, which say what a value shows anyway.
enum YAMLTag {
    static let text = "tag:yaml.org,2002:str"
    static let sequence = "tag:yaml.org,2002:seq"
    static let mapping = "tag:yaml.org,2002:map"
    /// `!`: by its kind.
    static let nonSpecific = "!"
}

/// Makes a tree of a parser's events.
private final class YAMLComposer {
    /// Of collections in each other: reading them takes stack. No configuration has ten.
    private static let mostLevels = 1_000

    private let parser: YAMLParser
    /// The latest of each name, and how many levels it has.
    private var anchors: [String: (node: YAMLNode, height: Int)] = [:]
    private var levels = 0
    /// The deepest that was reached in what is being read.
    private var deepest = 0
    private(set) var repeated: [RepeatedKey] = []

    init(_ parser: YAMLParser) {
        self.parser = parser
    }

    func document() throws(YAMLError) -> YAMLNode? {
        guard case .document = try parser.next() else { return nil }
        let node = try value(try parser.next())
        // The document's end.
        _ = try parser.next()
        if case .document(let mark) = try parser.next() { throw .anotherDocument(mark) }
        return node
    }

    private func value(_ event: YAMLParser.Event) throws(YAMLError) -> YAMLNode {
        let node: YAMLNode
        let anchor: String?
        let before = deepest
        deepest = levels
        defer { deepest = max(deepest, before) }
        switch event {
        case .alias(let name, let mark):
            guard let (node, height) = anchors[name] else { throw .undefinedAlias(mark) }
            try reach(levels + height, mark)
            return node
        case .scalar(let text, let isPlain, let start):
            node = .scalar(text, isPlain: isPlain, tag: start.tag, start.mark)
            anchor = start.anchor
        case .sequence(let start):
            node = .sequence(try elements(of: start), tag: start.tag, start.mark)
            anchor = start.anchor
        case .mapping(let start):
            node = .mapping(try pairs(of: start), tag: start.tag, start.mark)
            anchor = start.anchor
        case .end, .document, .documentEnd, .streamEnd:
            preconditionFailure("Cannot have an end where a value is due")
        }
        if let anchor { anchors[anchor] = (node, deepest - levels) }
        return node
    }

    private func elements(of start: YAMLParser.Start) throws(YAMLError) -> [YAMLNode] {
        try descend(start)
        defer { levels -= 1 }
        var elements: [YAMLNode] = []
        while true {
            let event = try parser.next()
            if case .end = event { return elements }
            elements.append(try value(event))
        }
    }

    private func pairs(of start: YAMLParser.Start) throws(YAMLError) -> [(key: YAMLNode, value: YAMLNode)] {
        try descend(start)
        defer { levels -= 1 }
        var pairs: [(key: YAMLNode, value: YAMLNode)] = []
        while true {
            let event = try parser.next()
            if case .end = event { break }
            let key = try value(event)
            pairs.append((key, try value(try parser.next())))
        }
        noteRepeatedKeys(pairs.map(\.key))
        return pairs
    }

    private func descend(_ start: YAMLParser.Start) throws(YAMLError) {
        levels += 1
        try reach(levels, start.mark)
    }

    private func reach(_ level: Int, _ mark: Position) throws(YAMLError) {
        deepest = max(deepest, level)
        guard level <= Self.mostLevels else {
            throw .syntax(context: nil, from: nil, problem: "more than \(Self.mostLevels) levels", mark)
        }
    }

    /// Lists and mappings are no keys that anything takes, so nobody compares them.
    private func noteRepeatedKeys(_ keys: [YAMLNode]) {
        // A key with another tag is another one.
        struct Name: Hashable {
            var text: String
            var tag: String
        }
        var seen: [Name: Position] = [:]
        for key in keys {
            guard case .scalar(let text, _, let tag, let mark) = key else { continue }
            let name = Name(text: text, tag: tag ?? YAMLTag.text)
            if let first = seen[name] {
                repeated.append(RepeatedKey(name: text, first: first, position: mark))
            } else {
                seen[name] = mark
            }
        }
    }
}
