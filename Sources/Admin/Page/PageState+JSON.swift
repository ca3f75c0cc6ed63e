// SPDX-License-Identifier: Apache-2.0

import Telemetry

extension PageState {
    /// What changes with a reload at most.
    func hello(startedAt start: Int) -> [StatusValue.Member] {
        [
            .init(name: "version", value: .text(status.version)), .init(name: "name", value: .text(name)),
            .init(name: "started", value: .number(start)),
            .init(name: "seconds", value: .number(TrafficHistory.length)),
            .init(name: "loops", value: .number(status.loops)),
            .init(name: "policies", value: .list(status.policies.map(\.value))),
            .init(name: "routes", value: .list(routes.map(StatusValue.text))),
            .init(name: "listeners", value: .list(status.listeners.map(StatusValue.text))),
        ]
    }

    /// - Parameter traffic: what the loops have told.
    func value(with traffic: TrafficRecorder.Summary) -> StatusValue {
        let cause = status.state.cause
        return StatusValue([
            "status": StatusValue([
                "status": .text(status.state.status), "reason": StatusValue(cause?.reason),
                "detail": StatusValue(cause?.detail), "since": StatusValue(cause?.since?.written),
            ]),
            "redis": status.redis?.value ?? .null, "upstream": status.upstream?.value ?? .null,
            "configuration": StatusValue([
                "file": StatusValue(status.configuration.file), "hash": StatusValue(status.configuration.hash),
                "last_reload": status.configuration.lastReload?.value ?? .null,
                "warnings": .list(warnings.map(StatusValue.text)),
            ]),
            "openapi": status.openAPI?.value ?? .null, "fleet": status.fleet.value,
            "loops_unheard": StatusValue(status.loopsUnheard),
            "trial": .list(
                traffic.trials.sorted { $0.key < $1.key }.map { policy, trial in
                    StatusValue([
                        "policy": .text(policy), "would_have_refused": .number(trial.wouldHaveRefused),
                        "would_have_allowed": .number(trial.wouldHaveAllowed), "since": .number(trial.since),
                    ])
                }),
            "top": traffic.callers?.value ?? .null, "refusals": .list(traffic.refusals.map(\.value)),
            "expiring": expiring?.value ?? .null,
        ])
    }
}

extension TopCallers {
    fileprivate var value: StatusValue {
        StatusValue([
            "since": .number(since), "callers": .list(callers.map(\.value)),
            "organizations": .list(organizations.map(\.value)), "denied": .list(denied.map(\.value)),
            "denied_organizations": .list(deniedOrganizations.map(\.value)),
        ])
    }
}

extension TopCallers.Entry {
    fileprivate var value: StatusValue {
        let key = key.map { [StatusValue.Member(name: "key", value: .text($0))] } ?? []
        return .members(
            key + [
                .init(name: "organization", value: .text(organization)), .init(name: "count", value: .number(count)),
                .init(name: "error", value: .number(error)),
            ])
    }
}

extension RefusalNote {
    fileprivate var value: StatusValue {
        StatusValue([
            "at": .thousandths(at / 1_000), "status": StatusValue(status), "reason": .text(reason),
            "policy": StatusValue(policy), "route": StatusValue(route), "organization": StatusValue(organization),
            "key": StatusValue(key), "client": .text(client), "id": .text(correlationID),
        ])
    }
}

extension PageState.Expiring {
    fileprivate var value: StatusValue {
        let first = first.map { key in
            StatusValue([
                "key": .text(key.id), "organization": .text(key.organization), "expires": .number(key.end),
            ])
        }
        return .members(
            counts.map { .init(name: $0.span, value: .number($0.keys)) } + [.init(name: "first", value: .list(first))])
    }
}
