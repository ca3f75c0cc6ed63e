// SPDX-License-Identifier: Apache-2.0

/// The replies to commands that were sent together, told when all have come.
final class Replies {
    typealias Reply = Result<RedisReply, RedisError>

    private var replies: [Reply]
    private var missing: Int
    private let whole: ([Reply]) -> Void

    init(count: Int, whole: @escaping ([Reply]) -> Void) {
        replies = Array(repeating: .success(.null), count: count)
        missing = count
        self.whole = whole
    }

    func take(_ reply: Reply, at place: Int) {
        replies[place] = reply
        missing -= 1
        if missing == 0 { whole(replies) }
    }
}
