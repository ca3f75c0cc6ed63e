// swift-tools-version: 6.2
import PackageDescription

/// `Tests/run` sets this, so that a warning fails where we test and never where somebody builds with a newer compiler.
let strict = Context.environment["TOLLGATE_STRICT"] != nil

let settings: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
    ] + (strict ? [.treatAllWarnings(as: .error)] : [])

extension Target.Dependency {
    static let nioCore: Self = .product(name: "NIOCore", package: "swift-nio")
    static let nioPosix: Self = .product(name: "NIOPosix", package: "swift-nio")
    static let nioConcurrencyHelpers: Self = .product(name: "NIOConcurrencyHelpers", package: "swift-nio")
    static let nioEmbedded: Self = .product(name: "NIOEmbedded", package: "swift-nio")
    static let nioHTTP1: Self = .product(name: "NIOHTTP1", package: "swift-nio")
    static let logging: Self = .product(name: "Logging", package: "swift-log")
    static let argumentParser: Self = .product(name: "ArgumentParser", package: "swift-argument-parser")
    static let nioTLS: Self = .product(name: "NIOTLS", package: "swift-nio")
    static let nioSSL: Self = .product(
        name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["TLS"]))
    static let structuredFields: Self = .product(
        name: "RawStructuredFieldValues", package: "swift-http-structured-headers")
    static let subprocess: Self = .product(name: "Subprocess", package: "swift-subprocess")
}

func layer(
    _ name: String, _ dependencies: [Target.Dependency], settings extra: [SwiftSetting] = [],
    resources: [Resource] = []
) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: settings + extra)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport"], resources: resources, swiftSettings: settings)
}

let package = Package(
    name: "tollgate",
    products: [
        .executable(name: "tollgate", targets: ["tollgate"]),
        .executable(name: "tollgatectl", targets: ["tollgatectl"]),
    ],
    traits: [
        // BoringSSL costs a first build minutes; docs/decisions/0022-tls-to-redis.md.
        .trait(
            name: "TLS",
            description: "Speaks TLS: to Redis (rediss://), to the handler (https://), and where clients connect."),
        .default(enabledTraits: ["TLS"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0", traits: []),
        .package(url: "https://github.com/apple/swift-http-structured-headers", from: "1.7.0"),
    ],
    targets: [
        // What the sidecar is made of, lowest first; docs/design.md says who may import whom.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CNettle", providers: [.apt(["nettle-dev"])]),
        .systemLibrary(name: "CYAML", providers: [.apt(["libyaml-dev"])]),
        layer("LibC", []),
        layer("Digests", ["CNettle"], settings: [.strictMemorySafety()]),
        layer("Octets", ["LibC", .nioCore]),
        layer("TLS", ["Digests", "LibC", "Octets", .nioCore, .nioTLS, .nioSSL]),
        layer("Endpoints", ["Octets", "TLS", .nioCore]),
        layer(
            "Redis",
            [
                "CHiredis", "Endpoints", "LibC", "Octets", "TLS", .nioCore, .nioConcurrencyHelpers, .nioPosix, .logging,
            ],
            settings: [.strictMemorySafety()]),
        layer("HTTP1", ["Octets", .nioCore], settings: [.strictMemorySafety()]),
        layer("MCP", ["Octets", .nioCore], settings: [.strictMemorySafety()]),
        layer("Limits", ["Digests", "Octets"]),
        layer("Keyspace", ["Digests", "Limits", "Octets", "Redis"]),
        layer(
            "Admission",
            [
                "Endpoints", "Keyspace", "Limits", "Octets", "Redis", "Telemetry", .nioCore, .nioConcurrencyHelpers,
                .logging,
            ]),
        layer("Directory", ["Endpoints", "Keyspace", "Limits", "Octets", "Redis"]),
        layer(
            "Settings", ["CYAML", "Endpoints", "LibC", "Limits", "Octets", "TLS", .nioCore],
            settings: [.strictMemorySafety()]),
        layer("Guesses", ["Settings", .argumentParser]),
        layer("Telemetry", ["LibC", "Octets", .nioCore, .nioConcurrencyHelpers, .logging]),
        layer(
            "OpenAPI",
            ["HTTP1", "Octets", "Settings", "TLS", .nioCore, .nioConcurrencyHelpers, .nioPosix, .logging]),
        layer(
            "Proxy",
            [
                "HTTP1", "LibC", "MCP", "Admission", "Endpoints", "Keyspace", "Limits", "Octets", "Redis", "Settings",
                "TLS", "Telemetry", .nioCore, .nioConcurrencyHelpers, .nioPosix, .logging,
            ]),
        layer(
            "Admin",
            [
                "Digests", "LibC", "Octets", "Settings", "Telemetry", .nioCore, .nioConcurrencyHelpers, .nioPosix,
                .nioHTTP1, .logging,
            ],
            resources: [
                .embedInCode("Page/page.html"), .embedInCode("Page/page.css"), .embedInCode("Page/page.js"),
            ]),
        .executableTarget(
            name: "tollgate",
            dependencies: [
                "Proxy", "Admin", "Admission", "Digests", "Directory", "Endpoints", "Guesses", "HTTP1", "LibC",
                "Limits", "Octets", "OpenAPI", "Redis", "Settings", "TLS", "Telemetry",
                .argumentParser, .nioCore, .nioConcurrencyHelpers, .nioPosix, .logging,
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "tollgatectl",
            dependencies: [
                "Directory", "Endpoints", "Guesses", "Keyspace", "LibC", "Limits", "Octets", "Redis", "Settings", "TLS",
                .argumentParser,
            ],
            swiftSettings: settings),

        .target(
            name: "TestSupport",
            dependencies: ["LibC", "Limits", .nioCore, .nioConcurrencyHelpers, .logging, .subprocess],
            path: "Tests/TestSupport",
            swiftSettings: settings),
        tests("DigestsTests", ["Digests"]),
        tests("OctetsTests", ["LibC", "Octets", .nioCore, .nioPosix, .nioEmbedded]),
        tests("TLSTests", ["TLS", "Octets", .nioCore, .nioEmbedded]),
        tests("EndpointsTests", ["Endpoints", "TLS"]),
        tests(
            "RedisTests",
            [
                "Redis", "Endpoints", "Octets", "TLS", .nioCore, .nioConcurrencyHelpers, .nioPosix, .nioEmbedded,
                .logging,
            ]),
        .executableTarget(
            name: "ScannerBenchmark", dependencies: ["MCP", .nioCore], path: "Tests/Performance/Scanner",
            swiftSettings: settings),
        .target(
            name: "FuzzSubjects", dependencies: ["HTTP1", "MCP", "Proxy", "Settings", .nioCore],
            path: "Tests/Fuzz/Subjects",
            swiftSettings: settings),
        tests("FuzzTests", ["FuzzSubjects", .nioCore]),
        tests(
            "HTTP1Tests", ["HTTP1", "FuzzSubjects", .nioCore, .nioEmbedded, .nioHTTP1], resources: [.copy("Corpus")]),
        tests("MCPTests", ["MCP", .nioCore, .subprocess], resources: [.copy("read_messages.py")]),
        tests("LimitsTests", ["Limits"]),
        // A Redis of its own with keys in it, and gates to ask.
        .target(
            name: "AdmissionSupport",
            dependencies: [
                "Admission", "Endpoints", "Limits", "Octets", "Redis", "TestSupport", .nioCore,
                .nioConcurrencyHelpers, .nioPosix, .logging,
            ],
            path: "Tests/AdmissionSupport", swiftSettings: settings),
        tests("KeyspaceTests", ["AdmissionSupport", "Keyspace", "Limits", "Redis"]),
        tests(
            "AdmissionTests",
            [
                "AdmissionSupport", "Admission", "Endpoints", "Keyspace", "Limits", "Octets", "Redis", .nioCore,
                .nioEmbedded, .logging,
            ]),
        tests(
            "DirectoryTests",
            ["AdmissionSupport", "Admission", "Directory", "Endpoints", "Keyspace", "Limits", "Octets", "Redis"]),
        tests("SettingsTests", ["Settings", "Endpoints", "Limits", "Octets", "TLS"], resources: [.copy("Refusals")]),
        tests("OpenAPITests", ["OpenAPI", "Settings", "TLS", .nioCore, .nioPosix, .logging]),
        tests(
            "DaemonTests",
            [
                "tollgate", "Admin", "Directory", "Endpoints", "LibC", "Octets", "Proxy", "Redis", "Settings", "TLS",
                "Telemetry", .argumentParser, .nioCore, .nioConcurrencyHelpers, .nioPosix, .logging,
            ]),
        tests(
            "CommandTests",
            ["tollgatectl", "Directory", "Endpoints", "Redis", "Settings", .argumentParser, .subprocess],
            resources: [.copy("Snapshots")]),
        tests(
            "AdminTests",
            [
                "Admin", "Octets", "Settings", "Telemetry", .nioCore, .nioConcurrencyHelpers, .nioHTTP1, .nioPosix,
                .logging,
            ]),
        tests("TelemetryTests", ["Telemetry", "Octets", .nioCore, .nioConcurrencyHelpers, .logging]),
        tests(
            "ProxyTests",
            [
                "Proxy", "HTTP1", "LibC", "MCP", "Admission", "Endpoints", "Keyspace", "Limits", "Octets", "Redis",
                "Settings", "TLS", "Telemetry", .nioCore, .nioConcurrencyHelpers, .nioPosix, .nioEmbedded, .logging,
                .structuredFields,
            ]),
    ]
)

// The fuzzer, which only Tests/Fuzz/run builds: what it feeds is instrumented, and libFuzzer linked.
if let library = Context.environment["TOLLGATE_FUZZ"] {
    let instrumented = ["HTTP1", "MCP", "Octets", "Endpoints", "Limits", "Settings", "Proxy", "FuzzSubjects"]
    for target in package.targets where instrumented.contains(target.name) {
        target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-Xfrontend", "-sanitize=fuzzer"])]
    }
    package.products.append(.executable(name: "Fuzz", targets: ["Fuzz"]))
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["FuzzSubjects"], path: "Tests/Fuzz/Driver", swiftSettings: settings,
            linkerSettings: [.unsafeFlags([library]), .linkedLibrary("stdc++")]))
}
