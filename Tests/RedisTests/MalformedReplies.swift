// SPDX-License-Identifier: Apache-2.0

/// What no Redis says, each refused as soon as it has come.
enum MalformedReplies {
    static let all = written + types + numbers + lengths + ends + nested

    /// As met where something else than Redis listens, or a byte was lost.
    private static let written: [String] = [
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "220 mail.example.com ESMTP\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\u{15}\u{03}\u{01}\0\u{02}\u{02}P",
        "<html>\r\n",
        "{\"ok\":true}\r\n",
        "ERROR\r\n",
        "VALUE k 0 1\r\n",
        "\r\n",
        "\n",
        "\0",
        "OK\r\n",
        "1\r\n",
        "\r\n+OK\r\n",
        " +OK\r\n",
        "\u{EF}\u{BB}\u{BF}+OK\r\n",
        // RESP3, never asked for. (Its null is left out: hiredis 1.x takes it for ours.)
        "#t\r\n",
        "#f\r\n",
        ",1.5\r\n",
        ",inf\r\n",
        "(3492890328409238509324850943850943825024385\r\n",
        "=15\r\ntxt:Some string\r\n",
        "~2\r\n:1\r\n:2\r\n",
        "%1\r\n+k\r\n:1\r\n",
        ">2\r\n+message\r\n+x\r\n",
        "|1\r\n+k\r\n:1\r\n:2\r\n",
        "!5\r\nERR x\r\n",
    ]

    /// Every printable octet that begins no reply, before a short line. (hiredis 1.x would wait for the rest of a `=`.)
    private static let types: [String] = (UInt8(0x21)...0x7E).compactMap { octet in
        let type = Character(Unicode.Scalar(octet))
        return "+-:$*=".contains(type) ? nil : "\(type)1\r\n"
    }

    /// Integers that are none, which are bad lengths too.
    private static let badNumbers = [
        "", " ", "x", "1x", "x1", " 1", "1 ", "+1", "--1", "-", "1-", "0x10", "1.0", "1e3", "١", "\0", "1\01",
        "18446744073709551616", "9223372036854775808", "-9223372036854775809", "99999999999999999999999999",
        "1\r", "\t1", "0b1", "1_000", "1,000",
    ]
    private static let numbers = badNumbers.map { ":\($0)\r\n" }
    private static let lengths =
        (badNumbers + ["-2", "-10", "-9223372036854775808"]).flatMap { ["$\($0)\r\n", "*\($0)\r\n"] }
        + ["*4294967295\r\n", "*2147483648\r\n", "*2147483647\r\n", "*9223372036854775807\r\n", "*262145\r\n"]

    /// Strings that don't end where they said.
    private static let ends = ["\r\r", "\n\n", "\n\r", "ab", "\ra", "a\n", "\0\0", "  ", "+O", "\r:"].flatMap { end in
        ["$0\r\n\(end)", "$3\r\nabc\(end)", "*2\r\n:1\r\n$1\r\nx\(end)", "*1\r\n*1\r\n$2\r\n\r\n\(end)"]
    }

    private static let nested: [String] =
        // The answers of our scripts are flat. 8 is the first that is too deep.
        (Array(8...28) + [10_000, 200_000]).map { String(repeating: "*1\r\n", count: $0) + ":1\r\n" }
        // Bad somewhere within.
        + ["x", "?1\r\n", ":x\r\n", "$-2\r\n", "*-2\r\n", "$1\r\nxyz"].flatMap { bad in
            ["*1\r\n\(bad)", "*3\r\n:1\r\n+OK\r\n\(bad)", "*2\r\n*2\r\n:1\r\n$-1\r\n\(bad)"]
        }
}
