// SPDX-License-Identifier: Apache-2.0

/// How many entries lists of a configuration may have. An operator's have a few dozen; the bound keeps start-up time bounded.
package enum ListBounds {
    package static let most = 1000
}
