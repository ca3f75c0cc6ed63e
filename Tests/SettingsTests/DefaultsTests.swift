// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Limits
import Octets
import Settings
import Testing

@Suite struct DefaultsTests {
    @Test func everythingHasADefault() throws {
        let settings = try Settings.load()
        #expect(settings.listen == [.tcp(host: "127.0.0.1", port: 8080)])
        #expect((1...4).contains(settings.loops))
        #expect(settings.namespace == "tg")
        #expect(settings.admin == Settings.TCPAddress(host: "127.0.0.1", port: 9901))
        #expect(settings.log.level == .info)
        #expect(settings.log.access == .stdout)
        #expect(settings.log.format == .text)
        #expect(settings.log.sample == 10_000)
        #expect(settings.upstream.location == .tcp(host: "127.0.0.1", port: 8081))
        #expect(settings.upstream.forwardedHost == .auto)
        #expect(settings.upstream.connectTimeout == .seconds(1))
        #expect(settings.upstream.responseTimeout == .after(.seconds(60)))
        #expect(settings.upstream.idleTimeout == .seconds(4))
        #expect(settings.upstream.maxConnections == 256)
        #expect(settings.upstream.forwardedFields.isEmpty)
        #expect(settings.redis.endpoint == RedisEndpoint(.tcp(host: "127.0.0.1", port: 6379)))
        #expect(settings.redis.timeout == .milliseconds(250))
        #expect(settings.redis.onFailure == .closed)
        #expect(settings.redis.localShare == 0.5)
        #expect(settings.keys.prefix == "mcp_")
        #expect(settings.keys.accept == ["mcp_"])
        #expect(settings.keys.headers == ["X-API-Key", "Authorization"])
        #expect(settings.keys.forward == false)
        #expect(settings.keys.maxActivePerOrganization == 5)
        #expect(settings.keys.allowsAnonymous == false)
        #expect(settings.keys.retention == .seconds(90 * 86_400))
        #expect(settings.routes.isEmpty)
        #expect(settings.policies == Policy.builtIn())
        #expect(settings.cors == nil)
        #expect(settings.forwardsPreflights)
        #expect(settings.mcp.bindsSessions)
        #expect(settings.mcp.trustsHeaders == false)
        #expect(settings.mcp.reject == .auto)
        #expect(settings.mcp.hosts.isEmpty)
        #expect(settings.mcp.origins.isEmpty)
        #expect(settings.mcp.resourceMetadata == nil)
        #expect(settings.clients.trustedProxies == ["127.0.0.0/8", "::1/128", "unix"])
        #expect(settings.clients.addressField == "X-Forwarded-For")
        #expect(settings.clients.addressPrefix == AddressPrefix(ipv4: 32, ipv6: 64))
        #expect(settings.mergesSlashes == false)
        #expect(settings.drain.delay == .zero)
        #expect(settings.drain.timeout == .seconds(30))
        #expect(settings.usageRetention == .seconds(400 * 86_400))
        #expect(settings.limits.headerBytes == 32_768)
        #expect(settings.limits.bodyBytes == 16_777_216)
        #expect(settings.limits.mcpBodyBytes == 4_194_304)
        #expect(settings.limits.headerTimeout == .seconds(10))
        #expect(settings.limits.bodyTimeout == .seconds(30))
        #expect(settings.limits.idleTimeout == .seconds(75))
        #expect(settings.limits.stallTimeout == .seconds(30))
        #expect(settings.limits.connectionsPerAddress == nil)
        #expect(settings.limits.connections == 10_000)
    }

    @Test func anEmptyMappingIsAllDefaults() throws {
        #expect(try Settings.parse("{}", named: "t.yaml") == Settings.load())
    }
}
