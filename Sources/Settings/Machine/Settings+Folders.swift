// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

import LibC

extension Settings {
    /// Refuses files and sockets that can't be made, since their folders aren't there.
    func refuseMissingFolders(_ root: Mapping, _ problems: inout ProblemList) {
        if case .file(let path) = log.access, let flaw = Self.flaw(ofFolderFor: path) {
            root.refuse(Log.access, expected: "a file in a folder that is there", got: flaw, &problems)
        }
        for case .unix(let path) in listen.map(\.address) {
            guard let flaw = Self.flaw(ofFolderFor: path) else { continue }
            root.refuse(Self.listen, expected: "a socket in a folder that is there", got: flaw, &problems)
        }
    }

    private static func flaw(ofFolderFor path: String) -> String? {
        let url = URL(fileURLWithPath: path)
        if kind(of: url.path) == .folder { return "\(path.shown), which is a folder" }
        let folder = url.deletingLastPathComponent().path
        return switch kind(of: folder) {
        case .folder: nil
        case .file: "\(path.shown): \(folder.shown) is no folder"
        case nil: "\(path.shown): there is no folder \(folder.shown)"
        }
    }

    private enum Kind { case file, folder }

    private static func kind(of path: String) -> Kind? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return status.st_mode & S_IFMT == S_IFDIR ? .folder : .file
    }
}
