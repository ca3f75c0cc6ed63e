// SPDX-License-Identifier: Apache-2.0

import Octets

extension Status {
    /// One line, which docs/admin.md describes member by member.
    var json: String {
        StatusValue([
            "version": .text(version), "status": .text(state.status), "uptime_seconds": .number(uptime.wholeSeconds),
            "loops": .number(loops), "loops_unheard": loopsUnheard.map(StatusValue.number) ?? .null,
            "listeners": .list(listeners.map(StatusValue.text)),
            "redis": redis?.value ?? .null, "upstream": upstream?.value ?? .null,
            "policies": .list(policies.map(\.value)), "configuration": configuration.value,
            "openapi": openAPI?.value ?? .null, "fleet": fleet.value,
        ]).json
    }
}

extension Status.Redis {
    var value: StatusValue {
        StatusValue([
            "address": .text(address), "ok": .truth(cause == nil), "reason": StatusValue(cause?.reason),
            "detail": StatusValue(cause?.detail), "since": StatusValue(cause?.since?.written),
            "breaker": .members(breakers.map { .init(name: $0.state, value: .number($0.loops)) }),
            "commands_in_flight": .number(inFlight), "topology": topology?.value ?? .null,
            "cluster": cluster?.value ?? .null,
        ])
    }
}

extension Status.Cluster {
    fileprivate var value: StatusValue {
        StatusValue([
            "epoch": .number(epoch), "slots_missing": .number(slotsMissing),
            "primaries": .list(
                primaries.map { primary in
                    StatusValue([
                        "address": .text(primary.address), "slots": .number(primary.slots),
                        "ok": .truth(primary.isOK),
                    ])
                }),
        ])
    }
}

extension Status.Topology {
    fileprivate var value: StatusValue {
        StatusValue([
            "primary": StatusValue(primary), "epoch": epoch.map(StatusValue.number) ?? .null,
            "switches": .number(switches), "sentinels": .list(sentinels.map(\.value)),
        ])
    }
}

extension Status.Topology.Sentinel {
    fileprivate var value: StatusValue {
        StatusValue([
            "address": .text(address), "names": StatusValue(names), "epoch": epoch.map(StatusValue.number) ?? .null,
            "down": .truth(holdsItDown), "error": StatusValue(error),
        ])
    }
}

extension Status.Upstream {
    var value: StatusValue {
        StatusValue([
            "address": .text(address), "resolved": .list(resolved.map(StatusValue.text)),
            "connections": .members(connections.map { .init(name: $0.state, value: .number($0.count)) }),
            "since": StatusValue(failure?.since.written), "error": StatusValue(failure?.error),
        ])
    }
}

extension Status.Policy {
    var value: StatusValue {
        StatusValue(["name": .text(name), "per": .text(per), "limit": .text(limit), "mode": .text(mode)])
    }
}

extension Status.Configuration {
    var value: StatusValue {
        StatusValue([
            "file": StatusValue(file), "hash": StatusValue(hash), "last_reload": lastReload?.value ?? .null,
        ])
    }
}

extension Status.Reload {
    var value: StatusValue {
        StatusValue([
            "at": .text(at.written), "ok": .truth(errors.isEmpty), "errors": .list(errors.map(StatusValue.text)),
        ])
    }
}

extension Status.OpenAPI {
    var value: StatusValue {
        let documents = documents.map { document in
            StatusValue([
                "url": .text(document.url), "read": .truth(document.wasRead), "routes": .number(document.routes),
                "left_out": .number(document.leftOut), "error": StatusValue(document.error),
            ])
        }
        return StatusValue(["documents": .list(documents), "error": StatusValue(error)])
    }
}

extension Status.Fleet {
    var value: StatusValue {
        switch self {
        case .unknown(let reason):
            StatusValue(["known": .truth(false), "reason": .text(reason), "sidecars": .list([])])
        case .known(let sidecars):
            StatusValue(["known": .truth(true), "reason": .null, "sidecars": .list(sidecars.map(\.value))])
        }
    }
}

extension Status.Sidecar {
    var value: StatusValue {
        StatusValue([
            "name": .text(name), "version": StatusValue(version), "policies": .text(policies),
            "heard_seconds_ago": .number(age.wholeSeconds), "self": .truth(isThisOne),
        ])
    }
}

extension Duration {
    fileprivate var wholeSeconds: Int { Int(clamping: components.seconds) }
}

extension WallTime {
    /// `2026-11-23T03:41:07Z` (RFC 3339).
    var written: String {
        let time = CivilTime(secondsSince1970: seconds)
        func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(time.date.year)-\(padded(time.date.month))-\(padded(time.date.dayOfMonth))"
            + "T\(padded(time.hour)):\(padded(time.minute)):\(padded(time.second))Z"
    }
}
