// SPDX-License-Identifier: Apache-2.0

/// What `--version` says, of the daemon and the CLI alike.
package enum Version {
    package static let current = "0.1.0"
}
