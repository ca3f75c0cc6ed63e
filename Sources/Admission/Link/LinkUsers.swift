// SPDX-License-Identifier: Apache-2.0

/// Who asks by one link. Each leaves in two steps: it asks no more, and then what it had on its way has ended.
struct LinkUsers {
    private var asking: Set<ObjectIdentifier> = []
    private var leaving: Set<ObjectIdentifier> = []

    mutating func join(_ user: ObjectIdentifier) {
        asking.insert(user)
    }

    /// - Returns: whether nobody asks any more.
    mutating func leave(_ user: ObjectIdentifier) -> Bool {
        asking.remove(user)
        leaving.insert(user)
        return asking.isEmpty
    }

    /// - Returns: whether nobody asks any more or has something on its way.
    mutating func end(_ user: ObjectIdentifier) -> Bool {
        leaving.remove(user)
        return asking.isEmpty && leaving.isEmpty
    }
}
