// SPDX-License-Identifier: Apache-2.0

import LibC
import TestSupport
import Testing

@testable import tollgate

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite struct FileWatchTests {
    /// With a folder of its own, which is its working directory for nobody: paths are absolute.
    private func within(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/watch-\(UInt32.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    @Test func theWayToAFilePassesTheFoldersOfItsLinks() async throws {
        try await within { folder in
            let files = FileManager.default
            try files.createDirectory(atPath: "\(folder)/..v1", withIntermediateDirectories: true)
            try write("", to: "\(folder)/..v1/t.yaml")
            symlink("..v1", "\(folder)/..data")
            symlink("..data/t.yaml", "\(folder)/t.yaml")
            let way = FileWatch.way(to: "\(folder)/t.yaml")
            #expect(way[folder] == ["t.yaml", "..data"])
            #expect(way["\(folder)/..v1"] == ["t.yaml"])
            #expect(FileWatch.way(to: "\(folder)/gone.yaml")[folder] == ["gone.yaml"])
            // A folder that isn't there is waited for where it would be.
            #expect(FileWatch.way(to: "\(folder)/no/t.yaml")[folder] == ["no"])
            symlink("loop", "\(folder)/loop")
            #expect(FileWatch.way(to: "\(folder)/loop/t.yaml")[folder] == ["loop"])
        }
    }

    @Test func theWayToARelativePathBeginsHere() {
        #expect(FileWatch.way(to: "no-such.yaml") == [".": ["no-such.yaml"]])
        #expect(FileWatch.way(to: "./no-such/t.yaml") == [".": ["no-such"], "./no-such": ["t.yaml"]])
    }

    @Test(.timeLimit(.minutes(5)))
    func itTellsOfEachWayToChangeAFileAndOfNoOther() async throws {
        try await within { folder in
            let path = "\(folder)/t.yaml"
            try write("1", to: path)
            var changes = try FileWatch.changes(of: path).makeAsyncIterator()
            // Written in place, replaced by a rename, removed, made again.
            try write("2", to: path)
            #expect(try await changes.next() != nil)
            try write("3", to: path + ".new")
            rename(path + ".new", path)
            #expect(try await changes.next() != nil)
            unlink(path)
            #expect(try await changes.next() != nil)
            try write("4", to: path)
            #expect(try await changes.next() != nil)
            // What is not the file's is not told, and what follows is.
            try write("5", to: path + ".other")
            let link = "\(folder)/link"
            symlink(path, link)
            var linked = try FileWatch.changes(of: link).makeAsyncIterator()
            try write("6", to: path)
            #expect(try await linked.next() != nil)
            unlink(link)
            symlink(path + ".other", link)
            #expect(try await linked.next() != nil)
            try write("7", to: path + ".other")
            #expect(try await linked.next() != nil)
        }
    }

    @Test func eventsAreReadAsTheKernelWritesThem() {
        let octets: [UInt8] =
            [1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0] + Array("t.yaml".utf8) + [0, 0]
            + [255, 255, 255, 255, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            // Cut off: no event.
            + [1, 0, 0]
        #expect(
            FileWatchEvent.all(in: octets[...]) == [
                FileWatchEvent(watch: 1, mask: 8, name: "t.yaml"), FileWatchEvent(watch: -1, mask: 0x4000, name: ""),
            ])
    }
}
