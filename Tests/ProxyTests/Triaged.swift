// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Settings

@testable import Proxy

/// One request as ``Triage`` leaves it: from a configuration and the lines of a head.
struct Triaged {
    let snapshot: Snapshot
    let head: RequestHead
    let triage: Triage
    let verdict: Triage.Verdict

    /// - Parameters:
    ///   - configuration: YAML, or the path of none: all defaults.
    ///   - peer: the address that sends it.
    init(_ lines: [String], by configuration: String = "{}", from peer: String = "192.0.2.1") throws {
        let snapshot = try Snapshot(Settings.parse(configuration, named: "test.yaml"))
        let head = try RoutingHeads.head(lines)
        let address = try peer == "unix" ? nil : SocketAddress(ipAddress: peer, port: 4711)
        var triage = Triage(head, from: Peer(address, trusted: snapshot.trustedProxies), by: snapshot)
        var plans = JoinedPlans()
        verdict = triage.verdict(on: head, by: snapshot, &plans)
        self.snapshot = snapshot
        self.head = head
        self.triage = triage
    }

    /// - Parameter request: method and target, with HTTP/1.1 and a Host added.
    init(
        _ request: String, _ fields: [String] = [], by configuration: String = "{}", from peer: String = "192.0.2.1"
    ) throws {
        try self.init(
            ["\(request) HTTP/1.1", "Host: shop.example"] + fields, by: configuration, from: peer)
    }

    /// What is asked, of whoever pays; nil where nobody is asked.
    var request: AdmissionRequest? {
        switch verdict {
        case .refuse(_, let request): request
        case .answer: nil
        case .admit(let request, _): request
        }
    }

    var refusal: Refusal? {
        switch verdict {
        case .refuse(let refusal, _): refusal
        case .answer: nil
        case .admit(_, let refusal): refusal
        }
    }

    /// The policies that ask, with their costs: `org 1`.
    var policies: [String] {
        guard let selection = request?.selection else { return [] }
        return zip(selection.indices, selection.costs).map { "\(snapshot.policyNames[$0]) \($1)" }
    }
}

extension Triaged: CustomStringConvertible {
    /// In one line: what becomes of it, and who pays.
    var description: String {
        switch verdict {
        case .refuse(let refusal, let request):
            "\(refusal.text)\(request.map { ", \($0.text)" } ?? "")"
        case .answer(.metadata): "metadata"
        case .answer(.preflight(_, let methods)): "preflight: \(String(decoding: methods, as: UTF8.self))"
        case .admit(let request, let refusal):
            "\(request.text)\(refusal.map { ", then \($0.text)" } ?? "")"
        }
    }
}

extension Refusal {
    /// Status and reason, and whether the connection ends.
    var text: String { "\(status) \(reason)\(closes ? " closing" : "")" }
}

extension AdmissionRequest {
    /// Kind, and the key or the address: `protected mcp_a`.
    var text: String {
        switch credential {
        case .presented(let key): "\(kind) \(String(decoding: key, as: UTF8.self))"
        case .absent: "\(kind) \(address)"
        }
    }
}
