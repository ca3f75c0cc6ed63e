// SPDX-License-Identifier: Apache-2.0

@preconcurrency import Dispatch
import LibC
import Octets
import NIOConcurrencyHelpers

/// Tells when what a path leads to may be another file, or say something else: written anew, replaced by a rename, or reached
/// by symbolic links one of which was swapped, which is how Kubernetes changes a ConfigMap.
///
/// Folders are watched, since a watch of a file ends with the file; of what happens there only what concerns the path counts. A
/// file that is being made counts when whoever writes it closes it.
final class FileWatch: Sendable {
    /// Several changes within it are one: whoever writes a file takes a few steps.
    private static let quiet = DispatchTimeInterval.milliseconds(100)
    private static let mask = UInt32(
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
    )
    private static let ofFolderItself = UInt32(IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW)

    /// The kernel has no watch to give.
    struct Failure: Error, CustomStringConvertible {
        let errno: CInt

        var description: String { String(errno: errno) }
    }

    /// Names in a folder that the way to the file passes.
    typealias Names = Set<String>

    private struct State {
        var watches: [CInt: (folder: String, names: Names)] = [:]
        /// A change is told soon.
        var isDue = false
    }

    private let path: String
    private let descriptor: CInt
    private let queue = DispatchQueue(label: "tollgate.file-watch")
    private let state = NIOLockedValueBox(State())

    /// - Returns: for each change when it happened, until nobody listens any more, or the kernel has no watch to give.
    /// - Throws: where it has none from the beginning.
    static func changes(of path: String) throws(Failure) -> AsyncThrowingStream<ContinuousClock.Instant, any Error> {
        let watch = try FileWatch(path)
        do throws(Failure) {
            try watch.watchFolders()
        } catch {
            close(watch.descriptor)
            throw error
        }
        return watch.start()
    }

    private init(_ path: String) throws(Failure) {
        self.path = path
        descriptor = inotify_init1(CInt(IN_NONBLOCK | IN_CLOEXEC))
        guard descriptor >= 0 else { throw Failure(errno: errno) }
    }

    private func start() -> AsyncThrowingStream<ContinuousClock.Instant, any Error> {
        // One that nobody has taken yet stands for those after it.
        let (stream, continuation) = AsyncThrowingStream<ContinuousClock.Instant, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(1))
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
        source.setEventHandler {
            guard self.takeEvents() else { return }
            self.tellSoon(continuation)
        }
        source.setCancelHandler { close(self.descriptor) }
        continuation.onTermination = { [source] _ in source.cancel() }
        source.activate()
        return stream
    }

    private func tellSoon(_ continuation: AsyncThrowingStream<ContinuousClock.Instant, any Error>.Continuation) {
        let now = ContinuousClock.now
        let isFirst = state.withLockedValue { state in
            defer { state.isDue = true }
            return !state.isDue
        }
        guard isFirst else { return }
        queue.asyncAfter(deadline: .now() + Self.quiet) {
            self.state.withLockedValue { $0.isDue = false }
            // The way may lead through other folders by now.
            do throws(Failure) {
                try self.watchFolders()
                continuation.yield(now)
            } catch {
                continuation.yield(now)
                continuation.finish(throwing: error)
            }
        }
    }

    /// A watch that is there already stays, with the names of now.
    private func watchFolders() throws(Failure) {
        var watches: [CInt: (folder: String, names: Names)] = [:]
        for (folder, names) in Self.way(to: path) {
            let watch = inotify_add_watch(descriptor, folder, Self.mask)
            guard watch >= 0 else {
                // A folder that isn't there is waited for in the one above it.
                guard errno == ENOENT || errno == ENOTDIR else { throw Failure(errno: errno) }
                continue
            }
            watches[watch, default: (folder, [])].names.formUnion(names)
        }
        state.withLockedValue { state in
            for gone in state.watches.keys where watches[gone] == nil { inotify_rm_watch(descriptor, gone) }
            state.watches = watches
        }
    }

    /// - Returns: whether one of the events concerns the path.
    private func takeEvents() -> Bool {
        var isConcerned = false
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return isConcerned }
            let watches = state.withLockedValue(\.watches)
            for event in FileWatchEvent.all(in: buffer[..<count]) {
                if event.mask & Self.ofFolderItself != 0 { isConcerned = true }
                guard let (folder, names) = watches[event.watch], names.contains(event.name) else { continue }
                if event.mask & UInt32(IN_CREATE) == 0 || !Self.isBeingWritten("\(folder)/\(event.name)") {
                    isConcerned = true
                }
            }
        }
    }

    /// A file that was made just now has a writer, who closes it; a link has none, and neither has a second name.
    private static func isBeingWritten(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_nlink == 1
    }

    /// Links that a path may pass before it is taken to lead nowhere, as the kernel has it (path_resolution(7)).
    private static let mostLinks = 40

    /// Each folder in which something can happen to the way, with the names there.
    static func way(to path: String) -> [String: Names] {
        var found: [String: Names] = [:]
        var rest = components(of: path)[...]
        var (folder, links) = (path.hasPrefix("/") ? "/" : ".", 0)
        while let name = rest.popFirst() {
            let here = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
            let target = target(ofLink: here)
            if target != nil || rest.isEmpty || access(here, F_OK) != 0 { found[folder, default: []].insert(name) }
            guard let target else {
                folder = here
                continue
            }
            links += 1
            guard links <= mostLinks else { break }
            if target.hasPrefix("/") { folder = "/" }
            rest = (components(of: target) + rest)[...]
        }
        return found
    }

    private static func components(of path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    private static func target(ofLink path: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// What the kernel tells of a folder: four 32-bit numbers (watch, mask, cookie, length) and a name, padded by zeros
/// (inotify(7)).
struct FileWatchEvent: Equatable {
    private static let headSize = 16

    let watch: CInt
    let mask: UInt32
    let name: String

    static func all(in octets: ArraySlice<UInt8>) -> [FileWatchEvent] {
        var (events, rest) = ([FileWatchEvent](), octets)
        while rest.count >= headSize {
            let numbers = (0..<4).map { index in
                (0..<4).reduce(into: UInt32(0)) { $0 |= UInt32(rest[rest.startIndex + 4 * index + $1]) << (8 * $1) }
            }
            let size = min(rest.count, headSize + Int(numbers[3]))
            let name = rest.dropFirst(headSize).prefix(size - headSize).prefix { $0 != 0 }
            events.append(
                FileWatchEvent(
                    watch: CInt(bitPattern: numbers[0]), mask: numbers[1], name: String(decoding: name, as: UTF8.self)))
            rest = rest.dropFirst(size)
        }
        return events
    }
}
