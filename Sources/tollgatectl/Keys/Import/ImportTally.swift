// SPDX-License-Identifier: Apache-2.0

import Directory
import Limits

/// What became of the lines of a file so far.
struct ImportTally {
    private(set) var imported = 0
    private(set) var there = 0
    private(set) var revoked = 0
    private(set) var stayRevoked = 0
    private(set) var refused = 0

    var total: Int { imported + there + revoked + stayRevoked + refused }

    mutating func count(_ outcome: KeyImport.Outcome) {
        switch outcome {
        case .imported: imported += 1
        case .there: there += 1
        case .revoked: revoked += 1
        case .staysRevoked: stayRevoked += 1
        case .refused: refused += 1
        }
    }

    mutating func countRefusal() { refused += 1 }

    /// `3 keys imported, 2 were there before, 1 line was refused`
    var text: String {
        var parts = ["\("key".counted(imported)) imported"]
        if there > 0 { parts.append("\(there) \(there == 1 ? "was" : "were") there before") }
        if revoked > 0 { parts.append("\(revoked) revoked here") }
        if stayRevoked > 0 { parts.append("\(stayRevoked) \(stayRevoked == 1 ? "stays" : "stay") revoked") }
        if refused > 0 { parts.append("\("line".counted(refused)) refused") }
        return parts.joined(separator: ", ")
    }

    var json: [(String, JSON)] {
        [
            ("imported", .integer(imported)), ("there_before", .integer(there)), ("revoked", .integer(revoked)),
            ("stay_revoked", .integer(stayRevoked)), ("refused", .integer(refused)),
        ]
    }
}

extension KeyImport.Refusal {
    /// Why, and what to do.
    var text: String {
        switch self {
        case .organizationMissing(let id):
            "organization_id: organization \(id.text) does not exist; --create-orgs makes those that are missing"
        case .full(let id, let maximum):
            "organization \(id.text) has \("active key".counted(maximum)), the most it may have; org set lets it have more"
        case .elsewhere(let id): "key_hash: it is key \(id.text) already, of another organization"
        case .idTaken(let id): "id: \(id.text) is another key here"
        case .lifetimeTooLong(let id):
            "expires_at: a key of organization \(id.text) may not live so long; org show tells how long"
        case .late: "its import was begun an hour ago and is being taken back; import it once more in an hour"
        case .noMemory: "Redis has no memory left for it (maxmemory); give it more, and import the file again"
        }
    }
}
