// SPDX-License-Identifier: Apache-2.0

import LibC
import Octets

/// A program of the operator's, run without a shell: its arguments are what they are.
///
/// It gets a text on standard input, and standard output and error of this process. It is waited for.
struct HookCommand {
    /// Why it didn't do its work.
    enum Failure: Error, Equatable {
        /// There is no such program, or it can't be run.
        case notStarted(code: CInt)
        case exited(code: CInt)
        case signalled(number: CInt)
    }

    private let words: [String]

    /// - Parameter words: the program, looked for in PATH unless it has a slash, and its arguments. Not empty.
    init(_ words: [String]) {
        precondition(!words.isEmpty, "A command has a program")
        self.words = words
    }

    var name: String { words[0] }

    /// - Throws: where it ended with anything but 0.
    func run(input: String) throws(Failure) {
        let file = try inputFile(input)
        defer { close(file) }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, file, 0)
        setSignals(&attributes)
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child = pid_t()
        let code = posix_spawnp(&child, words[0], &actions, &attributes, &arguments, environ)
        guard code == 0 else { throw .notStarted(code: code) }
        try wait(for: child)
    }

    /// A file without a name: whoever reads it or doesn't, nobody waits for it.
    private func inputFile(_ text: String) throws(Failure) -> CInt {
        var name = Array("/tmp/tollgatectl.XXXXXX".utf8CString)
        let file = mkstemp(&name)
        guard file >= 0 else { throw .notStarted(code: errno) }
        unlink(name)
        // The program gets it as standard input alone.
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else {
                let code = errno
                close(file)
                throw .notStarted(code: code)
            }
            rest = rest.dropFirst(max(count, 0))
        }
        lseek(file, 0, SEEK_SET)
        return file
    }

    /// What is noted here instead of obeyed is obeyed there; this thread, one of a pool, hears of no signal.
    private func setSignals(_ attributes: inout posix_spawnattr_t) {
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    }

    private func wait(for child: pid_t) throws(Failure) {
        var status: CInt = 0
        while waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw .notStarted(code: errno) }
        }
        // As WIFSIGNALED, WTERMSIG and WEXITSTATUS read it.
        let signal = status & 0x7F
        guard signal == 0 else { throw .signalled(number: signal) }
        let code = status >> 8 & 0xFF
        guard code == 0 else { throw .exited(code: code) }
    }
}

extension HookCommand.Failure: CustomStringConvertible {
    var description: String {
        switch self {
        case .notStarted(let code): "it can't be run: \(String(errno: code))"
        case .exited(let code): "it ended with \(code)"
        case .signalled(let number): "it was ended by signal \(number)"
        }
    }
}
