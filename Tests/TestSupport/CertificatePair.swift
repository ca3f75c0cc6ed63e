// SPDX-License-Identifier: Apache-2.0

import LibC

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Certificates that were signed by themselves, with their keys, for tests that read them: of nobody, and good for a hundred
/// years.
package enum CertificatePair: CaseIterable {
    case one, two

    package var certificate: String {
        switch self {
        case .one: Self.certificateOne
        case .two: Self.certificateTwo
        }
    }

    package var key: String {
        switch self {
        case .one: Self.keyOne
        case .two: Self.keyTwo
        }
    }

    private static let certificateOne = """
        -----BEGIN CERTIFICATE-----
        MIIBnDCCAUGgAwIBAgIULyb3iZ5G4ibX35XvVS+d0jjbDAowCgYIKoZIzj0EAwIw
        FjEUMBIGA1UEAwwLb25lLmV4YW1wbGUwIBcNMjYxMTI5MTAzMDM3WhgPMjEyNjEx
        MDUxMDMwMzdaMBYxFDASBgNVBAMMC29uZS5leGFtcGxlMFkwEwYHKoZIzj0CAQYI
        KoZIzj0DAQcDQgAEbNI0PkYwTSRKA9SvdXD8XNJwbPGAPUUjPqNMM/QUKPkvyA+v
        JTl/8X6L2telVhp91cSCsXRpyHt0NoLUjrS1KaNrMGkwHQYDVR0OBBYEFAdC7mup
        JcYPZCNfZ+bW+wX/GRouMB8GA1UdIwQYMBaAFAdC7mupJcYPZCNfZ+bW+wX/GRou
        MA8GA1UdEwEB/wQFMAMBAf8wFgYDVR0RBA8wDYILb25lLmV4YW1wbGUwCgYIKoZI
        zj0EAwIDSQAwRgIhAJQc/dK2y1gadfJ5rJK/aNwkledQQfNLhQlueIUuro1bAiEA
        8oFZ+ojAVHI+MCfrNNKedwZi0McTMuzKT/0zG4hyjt8=
        -----END CERTIFICATE-----

        """
    private static let keyOne = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQghFJKChxtMpF1sg2V
        db2Gwhkmzp3x9EjdjlsAltv1lzyhRANCAARs0jQ+RjBNJEoD1K91cPxc0nBs8YA9
        RSM+o0wz9BQo+S/ID68lOX/xfova16VWGn3VxIKxdGnIe3Q2gtSOtLUp
        -----END PRIVATE KEY-----

        """
    private static let certificateTwo = """
        -----BEGIN CERTIFICATE-----
        MIIBmzCCAUGgAwIBAgIUYiS3hri007kwSbE+XGgyrHTqvfowCgYIKoZIzj0EAwIw
        FjEUMBIGA1UEAwwLdHdvLmV4YW1wbGUwIBcNMjYxMTI5MTAzMDM3WhgPMjEyNjEx
        MDUxMDMwMzdaMBYxFDASBgNVBAMMC3R3by5leGFtcGxlMFkwEwYHKoZIzj0CAQYI
        KoZIzj0DAQcDQgAE/OKRTlMX1Nc7jTWontytNczH8ftA/K/cjMipSqlP3D7dkQk+
        H77TudIMOEmikzp+A4xD7anJLw9gzcW7J1b6iaNrMGkwHQYDVR0OBBYEFAf49aXA
        XE69McnpcHtmMOvTf34sMB8GA1UdIwQYMBaAFAf49aXAXE69McnpcHtmMOvTf34s
        MA8GA1UdEwEB/wQFMAMBAf8wFgYDVR0RBA8wDYILdHdvLmV4YW1wbGUwCgYIKoZI
        zj0EAwIDSAAwRQIgWz016B+u1eXxS9dpbNfQpZWtpqHdxEXyLUnKZwMfQ1gCIQDj
        l2ANSPF57mSvlUFo7Hx2AHFGBOI0HK0LWmUPbjI0VA==
        -----END CERTIFICATE-----

        """
    private static let keyTwo = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcLAwP890I8JkR+BO
        ygDjxgk3tl1zCFt8uIC47YqUKMOhRANCAAT84pFOUxfU1zuNNaie3K01zMfx+0D8
        r9yMyKlKqU/cPt2RCT4fvtO50gw4SaKTOn4DjEPtqckvD2DNxbsnVvqJ
        -----END PRIVATE KEY-----

        """

    /// Lends a folder to the body.
    package static func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
        let folder = FileManager.default.temporaryDirectory.path + "/pem-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try await body(folder)
    }

    /// Puts another file in its place.
    package static func write(_ text: String, to path: String) throws {
        let folder = path[..<(path.lastIndex(of: "/") ?? path.endIndex)]
        try FileManager.default.createDirectory(atPath: String(folder), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// In the place of another one, at once.
    package static func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: "\(path).new", withDestinationPath: target)
        guard rename("\(path).new", path) == 0 else { throw CocoaError(.fileWriteUnknown) }
    }

    package static func remove(_ path: String) throws {
        try FileManager.default.removeItem(atPath: path)
    }
}
