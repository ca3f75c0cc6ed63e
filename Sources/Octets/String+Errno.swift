// SPDX-License-Identifier: Apache-2.0

import LibC

extension String {
    /// What the system calls an error, `Connection refused`.
    package init(errno code: CInt) {
        self.init(cString: strerror(code))
    }
}
