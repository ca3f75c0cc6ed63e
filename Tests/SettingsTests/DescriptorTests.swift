// SPDX-License-Identifier: Apache-2.0

import Foundation
import Settings
import Testing

/// 64 descriptors are set apart and 8 a loop; 256 idle connections to the handler by default; two for each client.
@Suite struct DescriptorTests {
    @Test(arguments: [
        (nil, 10_000), (1_000_000, 10_000), (20_336, 10_000), (20_335, 9_999), (4096, 1880), (338, 1),
    ])
    func theDefaultIsLoweredToWhatFits(descriptors: Int?, connections: Int) throws {
        let settings = try load(descriptors: descriptors)
        #expect(settings.limits.connections == connections)
        #expect(settings.limits.wantedConnections == 10_000)
    }

    @Test func aConfiguredNumberIsKeptOrRefused() throws {
        let yaml = "loops: 2\nlimits: {connections: 1880}\n"
        #expect(try load(yaml, descriptors: 4096).limits.connections == 1880)
        let error = #expect(throws: ConfigurationError.self) { try load(yaml, descriptors: 4095) }
        #expect(
            error?.lines.map { String($0.drop(while: { $0 != ":" })) } == [
                ":2:23: limits.connections: expected at most 1879, since the process may have 4095 descriptors, "
                    + "got 1880 (raise the hard limit: LimitNOFILE of systemd, ulimit -Hn)"
            ])
    }

    @Test func nothingFitsIntoTooFew() throws {
        let error = #expect(throws: ConfigurationError.self) { try load(descriptors: 337) }
        #expect(error?.lines.first?.contains("upstream.max_connections: expected at most 255, since") == true)
        let none = #expect(throws: ConfigurationError.self) { try load(descriptors: 82) }
        #expect(none?.lines.first?.contains("upstream.max_connections: expected more descriptors, since") == true)
    }

    private func load(_ yaml: String = "loops: 2\n", descriptors: Int?) throws -> Settings {
        try withFile(Data(yaml.utf8)) { path in
            try Settings.load(ConfigurationSources(file: path, descriptors: descriptors))
        }
    }
}
