// SPDX-License-Identifier: Apache-2.0

import Logging
import TestSupport
import Testing

@testable import Proxy

@Suite struct NoticeTests {
    @Test func isToldOnceHoweverManyMeetIt() async {
        let log = RecordedLog()
        let notice = Notice(logger: log.logger, "worth telling")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask { for _ in 0..<100 { notice.tell(["peer": "127.0.0.1"]) } }
            }
        }
        #expect(log.lines == ["notice worth telling peer=127.0.0.1"])
    }
}
