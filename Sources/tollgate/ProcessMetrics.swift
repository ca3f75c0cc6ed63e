// SPDX-License-Identifier: Apache-2.0

import LibC
import Settings
import Telemetry

/// What the kernel knows of this process, under the names that all of Prometheus' clients have. Where there is no `/proc`
/// there is only what a system call tells.
enum ProcessMetrics {
    static var families: [MetricFamily] {
        [processorTime, residentMemory, openDescriptors, mostDescriptors, startTime].compactMap(\.self) + [build]
    }

    private static var build: MetricFamily {
        MetricFamily(
            "tollgate_build_info", .gauge, "1, by version.", by: "version", counted: [(Version.current, 1)])
    }

    private static var processorTime: MetricFamily? {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return nil }
        let nanoseconds = Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
        return family("process_cpu_seconds_total", .counter, "Processor time used.", .nanoseconds(nanoseconds))
    }

    private static var residentMemory: MetricFamily? {
        guard let fields = text(of: "/proc/self/statm")?.split(separator: " "), fields.count > 1,
            let pages = Int(fields[1])
        else { return nil }
        let bytes = pages * Int(sysconf(Int32(_SC_PAGESIZE)))
        return family("process_resident_memory_bytes", .gauge, "Memory in use.", .count(bytes))
    }

    private static var openDescriptors: MetricFamily? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var entries = 0
        while readdir(folder) != nil { entries += 1 }
        // Itself, its parent, and the descriptor by which it is read.
        return family("process_open_fds", .gauge, "Descriptors that are open.", .count(max(0, entries - 3)))
    }

    private static var mostDescriptors: MetricFamily? {
        DescriptorLimit.now.flatMap { family("process_max_fds", .gauge, "Descriptors that may be open.", .count($0)) }
    }

    /// In clock ticks since the machine's start (proc(5)).
    private static var startTime: MetricFamily? {
        let ticks = sysconf(Int32(_SC_CLK_TCK))
        // A program's name may have blanks and parentheses in it.
        guard ticks > 0, let stat = text(of: "/proc/self/stat"), let name = stat.lastIndex(of: ")"),
            let boot = text(of: "/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") })
        else { return nil }
        let fields = stat[name...].split(separator: " ")
        guard fields.count > 20, let started = Int(fields[20]), let booted = Int(boot.dropFirst(6)) else { return nil }
        let nanoseconds = booted * 1_000_000_000 + started * (1_000_000_000 / Int(ticks))
        return family("process_start_time_seconds", .gauge, "When it began, since 1970.", .nanoseconds(nanoseconds))
    }

    private static func family(
        _ name: String, _ kind: MetricFamily.Kind, _ help: String, _ value: MetricFamily.Value
    ) -> MetricFamily {
        MetricFamily(name, kind, help, [MetricFamily.Sample([], value)])
    }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var octets: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return count == 0 ? String(decoding: octets, as: UTF8.self) : nil }
            octets += chunk[..<count]
        }
    }
}
