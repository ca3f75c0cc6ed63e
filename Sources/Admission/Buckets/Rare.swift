// SPDX-License-Identifier: Apache-2.0

/// A value that few have, in a place of its own: who has none takes room for a reference, however long it is.
///
/// Copies share the place, so it is for properties of an object.
@propertyWrapper
struct Rare<Value> {
    private final class Place {
        var value: Value

        init(_ value: Value) {
            self.value = value
        }
    }

    private var place: Place?

    init(wrappedValue: Value?) {
        place = wrappedValue.map(Place.init)
    }

    var isThere: Bool { place != nil }

    var wrappedValue: Value? {
        get { place?.value }
        set {
            if let place, let newValue {
                place.value = newValue
            } else {
                place = newValue.map(Place.init)
            }
        }
    }
}
