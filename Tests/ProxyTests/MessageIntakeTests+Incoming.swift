// SPDX-License-Identifier: Apache-2.0

import Admission
import HTTP1
import NIOCore
import Settings
import Testing

@testable import Proxy

extension MessageIntakeTests {
    /// One message on its way in.
    struct Incoming {
        let snapshot: Snapshot
        let request: AdmissionRequest
        var intake: MessageIntake
        var falseStreams = FalseStreams()
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

        init(_ request: String, _ fields: [String] = [], by configuration: String = MessageIntakeTests.plain) throws {
            let triaged = try Triaged(request, fields, by: configuration)
            snapshot = triaged.snapshot
            self.request = try #require(triaged.request)
            intake = try #require(triaged.triage.intake)
        }

        /// A POST with a key.
        init(posting fields: [String] = [], by configuration: String = MessageIntakeTests.plain) throws {
            try self.init(
                "POST /mcp", ["X-API-Key: mcp_a", "Transfer-Encoding: chunked"] + fields, by: configuration)
        }

        mutating func open() -> MessageIntake.Opening {
            intake.open(request, by: snapshot, falseStreams, at: now)
        }

        /// Opens it, and reads this body to its end.
        mutating func read(_ body: String, rules: ToolRules? = nil) -> MessageIntake.Ending {
            _ = open()
            intake.read(for: .address("192.0.2.1"))
            _ = intake.receive(ByteBuffer(string: body)) { _, _ in true }
            return intake.end(nil, by: snapshot, falseStreams, at: now, rules: rules)
        }

        /// The policies that ask, with their costs.
        func policies(_ request: AdmissionRequest) -> [String] {
            zip(request.selection.indices, request.selection.costs).map { "\(snapshot.policyNames[$0]) \($1)" }
        }

        /// What comes of it in one line: policies with costs, or the refusal.
        func text(_ ending: MessageIntake.Ending) -> String {
            switch ending {
            case .unasked: "unasked"
            case .ask(let request): policies(request).joined(separator: ", ")
            case .refuse(let refusal): "\(refusal.text): \(refusal.detail)"
            }
        }

        func text(_ opening: MessageIntake.Opening) -> String {
            switch opening {
            case .announce(let request): request.text
            case .read: "read"
            case .ask(let request): policies(request).joined(separator: ", ")
            case .refuse(let refusal): "\(refusal.text): \(refusal.detail)"
            }
        }
    }

    static func response(_ fields: [String], status: Int = 200) throws -> ResponseHead {
        var buffer = ByteBuffer(
            string: "HTTP/1.1 \(status) X\r\n\(fields.map { $0 + "\r\n" }.joined())\r\n")
        var head = ResponseHead()
        var parser = ResponseHeadParser()
        let isComplete = try parser.parse(&buffer, answering: .get, into: &head)
        try #require(isComplete)
        return head
    }
}

extension MessageIntakeTests.Incoming {
    var holder: HeldShares.Holder { .address(request.address) }
}
