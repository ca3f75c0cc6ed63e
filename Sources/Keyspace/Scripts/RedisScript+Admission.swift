// SPDX-License-Identifier: Apache-2.0

package import Redis

/// What sidecars ask on the path of requests and beside it.
extension RedisScript {
    package static let admit = RedisScript(name: "admit", source: admitScriptSource)
    package static let lookup = RedisScript(name: "lookup", source: lookupScriptSource)
    package static let load = RedisScript(name: "load", source: loadScriptSource)
    package static let session = RedisScript(name: "session", source: sessionScriptSource)
    package static let correct = RedisScript(name: "correct", source: correctScriptSource)
    package static let renew = RedisScript(name: "renew", source: renewScriptSource)
    package static let release = RedisScript(name: "release", source: releaseScriptSource)
    package static let usage = RedisScript(name: "usage", source: usageScriptSource)
    package static let plan = RedisScript(name: "plan", source: planScriptSource)
    package static let instance = RedisScript(name: "instance", source: instanceScriptSource, isAboutServer: true)
}
