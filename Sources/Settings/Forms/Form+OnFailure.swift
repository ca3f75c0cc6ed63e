// SPDX-License-Identifier: Apache-2.0

import Limits

extension Form where Value == OnFailure {
    /// What becomes of requests without Redis: of all, of a route's, of those that a policy asks about.
    static let onFailure = Form.choice(
        ["closed": OnFailure.closed, "open": .open, "local": .local],
        hints: [
            "close": "closed", "fail_closed": "closed", "deny": "closed", "refuse": "closed", "reject": "closed",
            "block": "closed", "fail_open": "open", "allow": "open", "pass": "open", "ignore": "open",
            "memory": "local", "in_memory": "local", "in_process": "local", "fallback": "local",
        ])
}
