// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// Which pages of other origins browsers let use us, in place of what the handler says of it.
    package struct CORS: Sendable, Equatable {
        package enum Origin: Sendable, Hashable {
            case any
            /// `scheme://host[:port]` as browsers write it: lower case, without the scheme's own port.
            case exactly(String)
        }
        /// At least one; `any` stands alone, and not with credentials.
        package var allowOrigins: [Origin]
        package var allowsCredentials: Bool
        /// How long a browser may remember the answer to a preflight, in whole seconds.
        package var maxAge: Duration

        package init(allowOrigins: [Origin], allowsCredentials: Bool, maxAge: Duration) {
            self.allowOrigins = allowOrigins
            self.allowsCredentials = allowsCredentials
            self.maxAge = maxAge
        }
    }
}

extension Settings.CORS {
    static let schema = Schema(
        [allowOrigins.row, allowsCredentials.row, maxAge.row],
        rules: [
            "cors": [
                "dependentRequired": ["allow_credentials": ["allow_origins"], "max_age": ["allow_origins"]],
                "if": [
                    "properties": ["allow_origins": ["contains": ["const": "*"]]], "required": ["allow_origins"],
                ],
                "then": ["properties": ["allow_credentials": ["const": false], "allow_origins": ["maxItems": 1]]],
            ]
        ])

    static let allowOrigins = Setting(
        "cors.allow_origins",
        .list(
            "a list of origins such as https://app.example.com", of: .origin,
            emptyHint: "leave cors out to let the handler see to it"),
        "Pages that browsers let call us; \"*\" is all of them. Default: the handler's own CORS fields pass.")
    static let allowsCredentials = Setting(
        "cors.allow_credentials", .boolean,
        "Whether these pages may use the browser's cookies and stored logins. Default: false.",
        derived: Derivation { $0.cors.map { .truth($0.allowsCredentials) } })
    static let maxAge = Setting(
        "cors.max_age", .seconds(0...86_400),
        "Seconds for which a browser may remember the answer to a preflight. Default: 600.",
        derived: Derivation { $0.cors.map { .number(Int($0.maxAge.components.seconds)) } })

    /// Nil where there are no origins: not configured, or wrong.
    init?(_ root: Mapping, _ problems: inout ProblemList) {
        let credentials = root.optional(Self.allowsCredentials, &problems) ?? false
        let seconds = root.optional(Self.maxAge, &problems) ?? 600
        guard root.isGiven(Self.allowOrigins) else {
            let got = "none"
            if root.isGiven(Self.allowsCredentials) {
                root.refuse(Self.allowsCredentials, expected: "allow_origins beside it", got: got, &problems)
            } else if root.isGiven(Self.maxAge) {
                root.refuse(Self.maxAge, expected: "allow_origins beside it", got: got, &problems)
            }
            return nil
        }
        guard let origins = root.optional(Self.allowOrigins, &problems) else { return nil }
        if origins.contains(.any), origins.count > 1 {
            root.refuse(
                Self.allowOrigins, expected: "\"*\" alone, or origins", got: "both", hint: "\"*\" is all of them",
                &problems)
        }
        // Every page would act as whoever is logged in; browsers refuse the two together (Fetch standard).
        if origins.contains(.any), credentials {
            root.refuse(
                Self.allowsCredentials, expected: "origins by name in allow_origins",
                got: "\"*\", by which any page could act for whoever is logged in", &problems)
        }
        self.init(allowOrigins: origins, allowsCredentials: credentials, maxAge: .seconds(seconds))
    }
}
