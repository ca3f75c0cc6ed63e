// SPDX-License-Identifier: Apache-2.0

extension Settings {
    /// See ``Reference``.
    package static var reference: String { Reference.markdown }
}

/// The configuration reference in Markdown, made of the schema that also reads configurations: `docs/configuration.md`
/// is this text, which a test compares.
enum Reference {
    static var markdown: String {
        [
            opening, options, errors, keys, entries("listen", ListenEntry.schema),
            entries("tls.certificates", CertificateEntry.schema), entries("routes", RouteEntry.schema),
            entries("policies", PolicyEntry.schema), later,
        ].compactMap(\.self).joined(separator: "\n\n") + "\n"
    }

    private static let opening = """
        # Configuration

        <!-- Made by `tollgate config reference`; a test compares it. -->

        `tollgate --config FILE` reads YAML, of which JSON is a subset. Everything has a default; with no file at all,
        `tollgate --upstream http://127.0.0.1:8081` works against a Redis at redis://127.0.0.1:6379. Unknown keys, wrong types
        and impossible values are refused with the line, the key and what was expected; `tollgate config check FILE` tells
        without starting, and `tollgate config show` what is in force: [checking.md](checking.md).
        [deploy/tollgate.yaml](../deploy/tollgate.yaml) is a file with every key at its default.

        Durations are written `50ms`, `10s`, `5m`, `1h`, `1d`; sizes `512`, `32KiB`, `16MiB`. IPv6 addresses are quoted:
        `"[::1]:8080"`. `off` and `false` both disable. Variables such as `${NAME}` are not expanded in the file.
        """

    // MARK: Flags and variables

    private static var options: String {
        let rows = ConfigurationSources.Option.allCases.map { option in
            "| `\(option.path)` | \(option.flag.map { "`\($0)`" } ?? "") | `\(option.variable)` |"
        }
        return """
            ## Flags and variables

            Flags beat variables, which beat the file, which beats the defaults. A variable that is set but empty counts as
            absent. Others on the machine see a command line: give a password by variable or file.

            | key | flag | variable |
            |---|---|---|
            | the file | `--config` | `\(ConfigurationSources.fileVariable)` |
            \(rows.joined(separator: "\n"))

            `TOLLGATE_REDIS_PASSWORD` is Redis' password as it is, with nothing to be escaped, and `TOLLGATE_REDIS_PASSWORD_FILE`
            names a file of it. A password or user that is given twice must be the same each time.

            `tollgatectl` takes the same variables and flags for the file, the namespace and Redis. Give it the sidecars' file and
            it finds their Redis and namespace.

            Exit codes: 0, 1 could not start, 64 wrong usage, 78 wrong configuration.
            """
    }

    // MARK: Errors

    private static let mistaken = """
        listen: 127.0.0.1:8080
        redis:
          timeuot: 50ms
        policies:
          - {name: org, per: org, limit: 20 per 10s}
        """

    private static var errors: String {
        var lines: [String] = []
        do throws(ConfigurationError) {
            _ = try Settings.parse(mistaken, named: "tollgate.yaml")
        } catch {
            lines = error.lines
        }
        return """
            ## What a mistake looks like

            ```yaml
            \(mistaken)
            ```

            ```
            \(lines.joined(separator: "\n"))
            ```
            """
    }

    // MARK: Keys

    private static var keys: String {
        // In the order of the schema: keys of one mapping together, single ones under one heading where they stand.
        var groups: [(title: String, rows: [Schema.Row])] = []
        for row in Settings.schema.rows where row.isSupported {
            let dot = row.path.firstIndex(of: ".")
            let title = dot.map { "`\(row.path[..<$0])`" } ?? "Single keys"
            if let index = groups.firstIndex(where: { $0.title == title }) {
                groups[index].rows.append(row)
            } else {
                groups.append((title, [row]))
            }
        }
        return "## Keys\n\n"
            + groups.map { "### \($0.title)\n\n\(table($0.rows))" }.joined(separator: "\n\n")
    }

    private static func entries(_ list: String, _ schema: Schema) -> String {
        "## Entries of `\(list)`\n\n" + table(schema.rows.filter(\.isSupported))
    }

    private static func table(_ rows: [Schema.Row]) -> String {
        let lines = rows.map { row in
            let standard = row.standard.map { "`\($0)`" } ?? ""
            return "| `\(row.path)` | \(escaped(row.expectation)) | \(standard) | \(escaped(row.meaning)) |"
        }
        return (["| key | what may be written | default | what it means |", "|---|---|---|---|"] + lines)
            .joined(separator: "\n")
    }

    /// `|` ends a cell, and `<` may begin HTML.
    private static func escaped(_ text: String) -> String {
        text.replacing("|", with: "\\|").replacing("<", with: "&lt;")
    }

    /// Nil where nothing is put off.
    private static var later: String? {
        let schemas = [
            ("", Settings.schema), ("listen[].", ListenEntry.schema), ("routes[].", RouteEntry.schema),
            ("policies[].", PolicyEntry.schema),
        ]
        let names = schemas.flatMap { prefix, schema in
            schema.rows.filter { !$0.isSupported }.map { "`\(prefix)\($0.path)`" }
        }
        guard !names.isEmpty else { return nil }
        return """
            ## Not in this version

            The design names these too; a file that has one is refused, saying so: \(names.joined(separator: ", ")).
            """
    }
}
