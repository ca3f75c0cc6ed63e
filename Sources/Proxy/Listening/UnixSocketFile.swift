// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// The file of a Unix socket: bound beside its path, given its mode, then renamed over the path when all else is ready.
///
/// So a path that exists always accepts, a daemon takes the place of another without a gap, and what is closed later
/// removes nothing of its successor's. The file stays behind when the daemon ends: whether it is still its own can't be
/// asked and acted on in one step.
struct UnixSocketFile {
    enum Flaw: Error, CustomStringConvertible {
        case occupied
        case failed(errno: CInt)

        var description: String {
            switch self {
            case .occupied: "there is a file that is no socket"
            case .failed(let errno): String(errno: errno)
            }
        }
    }

    /// Whoever may write to it may connect: the daemon's user and group.
    private static let mode: mode_t = 0o660

    let path: String
    /// Where to bind.
    let temporary: String
    /// Where it is from then on: NIO removes what it has bound when the channel ends whose socket is taken.
    private let waiting: String

    /// Makes room for the temporary name, which a process of the same number may have left.
    init(_ path: String) throws(Flaw) {
        self.path = path
        temporary = "\(path).\(getpid())"
        waiting = "\(temporary).new"
        for name in [path, temporary, waiting] where try !Self.isFree(name) { throw .occupied }
        for name in [temporary, waiting] {
            if unlink(name) != 0, errno != ENOENT { throw .failed(errno: errno) }
        }
    }

    /// It is bound.
    func keep() throws(Flaw) {
        guard chmod(temporary, Self.mode) == 0, rename(temporary, waiting) == 0 else { throw .failed(errno: errno) }
    }

    func publish() throws(Flaw) {
        guard rename(waiting, path) == 0 else { throw .failed(errno: errno) }
    }

    /// It is not published.
    func abandon() {
        unlink(waiting)
    }

    /// Whether `name` may be replaced: it isn't there, or it is a socket.
    private static func isFree(_ name: String) throws(Flaw) -> Bool {
        var status = stat()
        guard lstat(name, &status) == 0 else {
            guard errno == ENOENT else { throw .failed(errno: errno) }
            return true
        }
        return status.st_mode & S_IFMT == S_IFSOCK
    }
}
