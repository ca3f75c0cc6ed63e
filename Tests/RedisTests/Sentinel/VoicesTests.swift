// SPDX-License-Identifier: Apache-2.0

import Endpoints
import Testing

@testable import Redis

@Suite struct VoicesTests {
    /// `a5` is the primary a of epoch 5.
    private static func primary(_ text: Substring) -> Primary {
        Primary(at: ServerAddress(host: String(text.prefix(1)), port: 1), epoch: Int(text.dropFirst()) ?? -1)
    }

    /// - Parameter text: `a5 a5 b6`, found ones with a question mark behind.
    private static func voices(_ text: String, silent: Int = 0) -> Voices {
        let words = text.split(separator: " ")
        return Voices(
            of: words.enumerated().map { index, word in
                Voices.Voice(
                    primary: primary(word.prefix { $0 != "?" }), id: "\(index)", isConfigured: !word.hasSuffix("?"))
            },
            among: .init(
                all: words.count + silent, configured: words.count { !$0.hasSuffix("?") } + silent))
    }

    @Test(
        arguments: [
            // voices, silent ones, in force, choice
            ("", 3, nil, nil), ("a5", 0, nil, "a5"), ("a5", 2, nil, "a5"), ("a5 b6", 1, nil, nil),
            ("a5 b6", 0, nil, "b6"),
            ("a5 a5 b6", 0, nil, "a5"), ("a5 b6 b6", 0, nil, "b6"), ("a5 b6 c7", 0, nil, nil),
            ("a5 a5 b6", 0, "a5", "a5"), ("a5 b6 b6", 0, "a5", "b6"), ("a5 b6", 1, "a5", nil),
            ("a5 b6", 0, "a5", "b6"), ("b6", 2, "a5", "b6"),
            // Never back.
            ("a5", 2, "b6", nil), ("a5 a5 a5", 0, "b6", nil), ("a5 a5 b6", 0, "b6", nil), ("b5 b5 b5", 0, "b6", nil),
            ("a5 b6 b6", 0, "b6", "b6"),
            // The epoch of the one in force rises.
            ("a7 a7 a7", 0, "a6", "a7"), ("a7 a6 a6", 0, "a6", "a6"),
            // Of one epoch.
            ("a0 b0", 1, "a0", nil), ("a0 b0", 0, "a0", "a0"), ("a0 b0 b0", 0, "a0", "b0"), ("b0", 2, "a0", nil),
            ("b0", 0, "a0", "b0"),
            ("b0 b0", 1, "a0", "b0"), ("a0 a0 b0 b0", 0, "a0", "a0"),
            // Found ones have no voice beside two of the configuration.
            ("a5 a5 b6? b6? b6?", 0, "a5", "a5"), ("a5 b6? b6?", 1, "a5", "b6"), ("a5 b6?", 2, "a5", nil),
        ] as [(String, Int, Substring?, Substring?)])
    func chooses(_ voices: String, silent: Int, after current: Substring?, choice: Substring?) {
        #expect(
            Self.voices(voices, silent: silent)
                .choice(after: current.map(Self.primary), agreed: current.map { Self.primary($0).epoch } ?? 0)
                == choice.map(Self.primary))
    }

    @Test func hearsOneSentinelOnce() {
        let twice = Voices(
            of: [("x", "b6"), ("x", "b6"), ("y", "a5"), ("z", "a5")].map {
                Voices.Voice(primary: Self.primary($0.1), id: $0.0, isConfigured: true)
            }, among: .init(all: 4, configured: 4))
        #expect(twice.choice(after: Self.primary("a5")) == Self.primary("a5"))
    }

    @Test func takesNobodysVoiceForAStolenID() {
        let voices = Voices(
            of: [("y", "c9"), ("y", "b6"), ("z", "b6")].map {
                Voices.Voice(primary: Self.primary($0.1), id: $0.0, isConfigured: true)
            }, among: .init(all: 3, configured: 3))
        #expect(voices.choice(after: Self.primary("a5")) == Self.primary("b6"))
    }

    /// One alone has led to the one in force.
    @Test(
        arguments: [
            // voices, silent ones, in force, agreed before, choice
            ("a5 a5 e9", 0, "e9", 5, "a5"), ("a5 a5", 1, "e9", 5, "a5"), ("b6 b6 e9", 0, "e9", 5, "b6"),
            ("a5 a5 e9", 0, "e9", 6, nil), ("a5 e9", 1, "e9", 5, nil), ("e9", 2, "e9", 5, "e9"),
            ("a5 a5 a9", 0, "a9", 5, "a5"), ("a5", 2, "e9", 5, nil),
            // Those that one knows may be invented.
            ("e9 a5? a5?", 2, "e9", 5, nil),
        ] as [(String, Int, Substring, Int, Substring?)])
    func leavesWhomOneAloneHasLedTo(
        _ voices: String, silent: Int, after current: Substring, agreed: Int, choice: Substring?
    ) {
        #expect(
            Self.voices(voices, silent: silent).choice(after: Self.primary(current), agreed: agreed)
                == choice.map(Self.primary))
    }

    @Test(arguments: [
        ("a5", 0, true), ("a5", 2, true), ("a5 b6", 0, false), ("a5 a5 b6", 0, true), ("b6", 0, false),
    ])
    func isSureWhereNobodyContradicts(_ voices: String, silent: Int, isSure: Bool) {
        #expect(Self.voices(voices, silent: silent).areSure(of: Self.primary("a5")) == isSure)
    }
}
