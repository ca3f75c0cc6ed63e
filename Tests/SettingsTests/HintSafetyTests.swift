// SPDX-License-Identifier: Apache-2.0

import Settings
import Testing

/// A hint that is followed to the letter neither opens what was to be closed nor shows a password.
@Suite struct HintSafetyTests {
    @Test(arguments: [
        "auth", "Auth", "authenticate", "authenticated", "authentication", "private", "protected", "require-auth",
        "secure",
    ])
    func theOppositeOfPublicIsNoNameForIt(name: String) {
        for value in [true, false] {
            #expect(
                linesWithoutColumns(of: "routes: [{path: /a, \(name): \(value)}]") == [
                    "t.yaml:1: routes[0].\(name): unknown key (a key is asked for unless public is true)"
                ])
        }
    }

    /// 0 would be false there, which is no limit at all.
    @Test(arguments: ["limit", "quota", "rate", "rate_limit"])
    func aLimitOfARouteIsNoValueOfThrottle(name: String) {
        #expect(
            linesWithoutColumns(of: "routes: [{path: /a, \(name): 0}]") == [
                "t.yaml:1: routes[0].\(name): unknown key (policies limit calls; throttle: false exempts a route)"
            ])
    }

    @Test(arguments: ["dry_run", "dry-run", "enabled", "enforce", "shadow"])
    func whetherAPolicyEnforcesIsNoValueOfMode(name: String) {
        #expect(
            linesWithoutColumns(of: "policies: [{name: a, per: key, limit: 1/s, \(name): false}]") == [
                "t.yaml:1: policies[0].\(name): unknown key (mode is enforce, unless shadow is given, which denies nobody)"
            ])
    }

    /// Near as they are, their values mean the opposite.
    @Test(arguments: [
        ("routes: [{path: /a, not_public: true}]", "routes[0].not_public"),
        ("routes: [{path: /a, non-public: true}]", "routes[0].non-public"),
        ("routes: [{path: /a, no_throttle: false}]", "routes[0].no_throttle"),
        ("routes: [{path: /a, unthrottled: false}]", "routes[0].unthrottled"),
        ("routes: [{path: /a, skip_throttle: false}]", "routes[0].skip_throttle"),
        ("cors: {allow_origins: ['https://a.example'], disallow_credentials: true}", "cors.disallow_credentials"),
        ("keys: {no_forward: true}", "keys.no_forward"), ("keys: {deny_anonymous: true}", "keys.deny_anonymous"),
        ("keys: {anonymous_off: true}", "keys.anonymous_off"), ("block_preflights: true", "block_preflights"),
        ("mcp: {bind_sessions_off: false}", "mcp.bind_sessions_off"),
    ])
    func aNegationIsNoSlip(yaml: String, path: String) {
        let told = linesWithoutColumns(of: yaml)
        #expect(told.count == 1)
        #expect(told.first?.hasPrefix("t.yaml:1: \(path): unknown key (expected ") == true, "\(told)")
    }

    @Test(arguments: [
        ("mode: off", "mode: expected enforce, shadow, or a percentage such as 25% or 0.5%, got off"),
        ("mode: disabled", "mode: expected enforce, shadow, or a percentage such as 25% or 0.5%, got 'disabled'"),
        ("applies_to: unauthenticate", "applies_to: expected anonymous, authenticated or all, got 'unauthenticate'"),
    ])
    func aWordThatMayMeanBothIsNoGuess(setting: String, line: String) {
        let told = linesWithoutColumns(of: "policies: [{name: a, per: global, limit: 1/s, \(setting)}]")
        #expect(told == ["t.yaml:1: policies[0].\(line)"])
    }

    @Test func denyIsNoWayToSayFalse() {
        #expect(
            linesWithoutColumns(of: "routes: [{path: /a, throttle: deny}]") == [
                "t.yaml:1: routes[0].throttle: expected true or false, got 'deny'"
            ])
    }

    /// What stands before an @ is hidden, so that nobody could copy it.
    @Test(arguments: [
        "redis: {url: /run/a@x}", "upstream: {url: /run/a@x}", "log: {access: 'a:b.log@x'}", "keys: {accept: 'a:b@c'}",
        "listen: /run/a@x", "redis: {url: 'u:geheim@h'}", "routes: [{path: 'a:b@c'}]", "namespace: 'a:b@c'",
    ])
    func noHintIsHalfHidden(yaml: String) {
        let told = linesWithoutColumns(of: yaml)
        #expect(told.count == 1)
        #expect(told.allSatisfy { !$0.contains("(did you mean") && !$0.contains("[***") }, "\(told)")
    }
}
