// SPDX-License-Identifier: Apache-2.0

import Limits

extension PolicyEntry {
    /// What of an entry's keys JSON Schema can say beside each other.
    static let rules: JSONValue = [
        "required": ["name"],
        "if": ["properties": ["name": ["enum": [.text(Policy.handshakeName), .text(Policy.openStreamsName)]]]],
        "then": [
            "properties": without(
                [callers.path, quota.path, cost.path, chargeOn.path, costField.path, "match", "address_prefix"]
            ).adding([subject.path: ["const": .text(Policy.Subject.key.rawValue)]]),
            "if": ["properties": ["name": ["const": .text(Policy.handshakeName)]]],
            "then": ["properties": without([concurrency.path])],
            "else": ["properties": without([limit.path, burst.path])],
        ],
        "else": [
            "required": .texts([subject.path]),
            "oneOf": .list([limit.path, quota.path, concurrency.path].map { ["required": .texts([$0])] }),
            "allOf": [
                rule(for: quota.path, without([burst.path])),
                rule(for: concurrency.path, without([burst.path, cost.path, chargeOn.path, costField.path])),
                rule(
                    for: subject.path, among: [.key, .org],
                    without(["address_prefix"]).adding([
                        callers.path: ["const": .text(Policy.Callers.authenticated.rawValue)]
                    ])),
                rule(for: subject.path, among: [.global], without(["address_prefix"])),
            ],
        ],
    ]

    private static func without(_ keys: [String]) -> JSONValue {
        .object(keys.map { JSONValue.Member(name: $0, value: false) })
    }

    private static func rule(for key: String, _ properties: JSONValue) -> JSONValue {
        ["if": ["required": .texts([key])], "then": ["properties": properties]]
    }

    private static func rule(
        for key: String, among subjects: [Policy.Subject], _ properties: JSONValue
    ) -> JSONValue {
        [
            "if": ["properties": .object([.init(name: key, value: ["enum": .texts(subjects.map(\.rawValue))])])],
            "then": ["properties": properties],
        ]
    }
}
