// SPDX-License-Identifier: Apache-2.0

import Keyspace
import Redis

extension Gate {
    /// Loaded on every connection, in this order.
    static let scripts: [RedisScript] = [
        .admit, .lookup, .load, .session, .correct, .renew, .release, .usage, .plan, .instance, .checkSecrets,
    ]
    /// Without these no request can be decided.
    static let neededScripts: [RedisScript] = [.instance, .lookup, .load, .plan, .admit]
}
