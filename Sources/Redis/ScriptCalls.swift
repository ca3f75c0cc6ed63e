// SPDX-License-Identifier: Apache-2.0

/// How a server's scripts are called: of each that it has, `EVALSHA` and the digest it gave, as they go over the wire.
struct ScriptCalls {
    /// In the order of loading, so that what is called most is found at once. A table would be slower: there are ten.
    private var calls: [(script: RedisScript, call: [UInt8])] = []

    /// - Returns: nil where the server doesn't have its script.
    func call(for command: RedisCommand) -> [UInt8]? {
        for index in calls.indices where calls[index].script == command.script { return calls[index].call }
        return nil
    }

    subscript(script: RedisScript) -> [UInt8]? {
        get {
            for index in calls.indices where calls[index].script == script { return calls[index].call }
            return nil
        }
        set {
            calls.removeAll { $0.script == script }
            if let newValue { calls.append((script, newValue)) }
        }
    }
}
