// SPDX-License-Identifier: Apache-2.0

import CYAML

/// Why a text is no YAML document that a configuration can be read from.
enum YAMLError: Error {
    /// The parser's words, and where it stood.
    case syntax(context: String?, from: Position?, problem: String, Position)
    case undefinedAlias(Position)
    case anotherDocument(Position)
    /// Not made of the characters that YAML allows.
    case characters(problem: String)
    case memory
}

/// libyaml's parser over one text: the only type that knows it.
///
/// 1. Its events come in the order of the text, well nested: whatever starts ends, or an error is thrown.
/// 2. After an error there is nothing more to ask for.
@safe final class YAMLParser {
    /// The beginning of a node, with where it was written.
    struct Start {
        var mark: Position
        var anchor: String?
        /// Nil where there is none, or none that says anything.
        var tag: String?
    }

    enum Event {
        case alias(String, Position)
        case scalar(String, isPlain: Bool, Start)
        case sequence(Start)
        case mapping(Start)
        /// Of a sequence or mapping.
        case end
        case document(Position)
        case documentEnd
        case streamEnd
    }

    /// The parser keeps pointers into itself and into the text, so that neither may move.
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    private let text: UnsafeMutableBufferPointer<UInt8>

    /// - Throws: only ``YAMLError/memory``.
    init(_ yaml: String) throws(YAMLError) {
        unsafe text = .allocate(capacity: yaml.utf8.count)
        _ = unsafe text.initialize(fromContentsOf: yaml.utf8)
        unsafe parser.initialize(to: yaml_parser_t())
        guard unsafe yaml_parser_initialize(parser) == 1 else { throw .memory }
        unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        unsafe yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        unsafe yaml_parser_delete(parser)
        unsafe parser.deallocate()
        unsafe text.deallocate()
    }

    func next() throws(YAMLError) -> Event {
        while true {
            var event = unsafe yaml_event_t()
            guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw flaw }
            defer { unsafe yaml_event_delete(&event) }
            if let event = unsafe Self.event(event) { return event }
        }
    }

    /// Nil for what tells nothing: the beginning of the stream.
    private static func event(_ event: yaml_event_t) -> Event? {
        let mark = unsafe Position(event.start_mark)
        switch unsafe event.type {
        case YAML_ALIAS_EVENT:
            return unsafe .alias(text(event.data.alias.anchor) ?? "", mark)
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let octets = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            // Quoted, a scalar without a tag is a text; so is one with the tag `!`.
            let tag = unsafe scalar.quoted_implicit == 1 ? nil : text(scalar.tag)
            return unsafe .scalar(
                String(decoding: octets, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
                Start(mark: mark, anchor: text(scalar.anchor), tag: tag))
        case YAML_SEQUENCE_START_EVENT:
            let start = unsafe event.data.sequence_start
            return unsafe .sequence(
                Start(mark: mark, anchor: text(start.anchor), tag: start.implicit != 0 ? nil : text(start.tag)))
        case YAML_MAPPING_START_EVENT:
            let start = unsafe event.data.mapping_start
            return unsafe .mapping(
                Start(mark: mark, anchor: text(start.anchor), tag: start.implicit != 0 ? nil : text(start.tag)))
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: return .end
        case YAML_DOCUMENT_START_EVENT: return .document(mark)
        case YAML_DOCUMENT_END_EVENT: return .documentEnd
        case YAML_STREAM_END_EVENT: return .streamEnd
        default: return nil
        }
    }

    private static func text(_ octets: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        unsafe octets.map { unsafe String(decodingCString: $0, as: UTF8.self) }
    }

    private var flaw: YAMLError {
        let state = unsafe parser.pointee
        let problem = unsafe state.problem.map { unsafe String(cString: $0) } ?? ""
        switch unsafe state.error {
        case YAML_READER_ERROR: return .characters(problem: problem)
        case YAML_MEMORY_ERROR: return .memory
        default:
            let context = unsafe state.context.map { unsafe String(cString: $0) }
            return unsafe .syntax(
                context: context, from: context == nil ? nil : Position(state.context_mark), problem: problem,
                Position(state.problem_mark))
        }
    }
}

extension Position {
    /// libyaml counts from 0.
    fileprivate init(_ mark: yaml_mark_t) {
        self.init(line: mark.line + 1, column: mark.column + 1)
    }
}
