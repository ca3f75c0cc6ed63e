// SPDX-License-Identifier: Apache-2.0

/// A field name of at most 32 octets in four words, case folded: comparing names is comparing integers.
///
/// `octet | 0x20` folds letters and leaves every other octet of a known name as it is. Of the token octets it confuses only
/// `^` with `~`, which no known name has, and it turns `_` into DEL, which no name can hold: so a match is exact.
struct PackedName: Equatable {
    private(set) var first: UInt64 = 0
    private(set) var second: UInt64 = 0
    private(set) var third: UInt64 = 0
    private(set) var fourth: UInt64 = 0
    /// Of the name, however long; only the first 32 octets are held.
    private(set) var length = 0

    static var capacity: Int { 32 }

    @inline(__always)
    mutating func append(_ octet: UInt8) {
        let folded = UInt64(octet | 0x20)
        switch length &>> 3 {
        case 0: first = first &<< 8 | folded
        case 1: second = second &<< 8 | folded
        case 2: third = third &<< 8 | folded
        case 3: fourth = fourth &<< 8 | folded
        default: break
        }
        length &+= 1
    }

    /// The name with `_` read as `-`; nil if there is none in it.
    var withHyphens: PackedName? {
        var name = self
        name.first = Self.hyphenated(first)
        name.second = Self.hyphenated(second)
        name.third = Self.hyphenated(third)
        name.fourth = Self.hyphenated(fourth)
        return name == self ? nil : name
    }

    var hash: Int {
        var mixed = first ^ (second &* 0x9E37_79B9_7F4A_7C15)
        mixed ^= (third &* 0xC2B2_AE3D_27D4_EB4F) ^ (fourth &* 0x1656_67B1_9E37_79F9)
        mixed = (mixed ^ UInt64(truncatingIfNeeded: length)) &* 0xFF51_AFD7_ED55_8CCD
        return Int(truncatingIfNeeded: mixed &>> 40)
    }

    private static func hyphenated(_ word: UInt64) -> UInt64 {
        var word = word
        for shift in stride(from: UInt64(0), to: 64, by: 8) where (word &>> shift) & 0xFF == 0x7F {
            word ^= 0x52 &<< shift
        }
        return word
    }
}

extension KnownField {
    /// The field of that name, `other` if it is none of ours.
    @inline(__always)
    static func named(_ name: PackedName) -> KnownField {
        name.length <= PackedName.capacity ? table.field(named: name) : .other
    }

    /// The field that a name with `_` becomes where `_` is read as `-`, as CGI and WSGI do; `other` if none.
    static func foldedName(_ name: PackedName) -> KnownField {
        guard name.length <= PackedName.capacity, let hyphened = name.withHyphens else { return .other }
        return table.field(named: hyphened)
    }

    private static let table = NameTable()

    /// Open addressing in twice to four times as many slots as there are names.
    private struct NameTable {
        private var slots = [(name: PackedName, field: KnownField)](repeating: (PackedName(), .other), count: 256)

        init() {
            for field in KnownField.allCases where field != .other {
                var name = PackedName()
                for octet in field.name.description.utf8 { name.append(octet) }
                precondition(name.length <= PackedName.capacity, "A known field's name is longer than can be packed")
                var slot = name.hash & 255
                while slots[slot].field != .other { slot = (slot + 1) & 255 }
                slots[slot] = (name, field)
            }
        }

        func field(named name: PackedName) -> KnownField {
            var slot = name.hash & 255
            while slots[slot].field != .other {
                if slots[slot].name == name { return slots[slot].field }
                slot = (slot + 1) & 255
            }
            return .other
        }
    }
}
