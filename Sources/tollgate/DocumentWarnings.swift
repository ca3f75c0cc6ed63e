// SPDX-License-Identifier: Apache-2.0

import OpenAPI
import Settings

extension Settings {
    /// What is hardly meant in documents of `openapi`, or in policies by what is in these.
    ///
    /// - Parameter reports: of the documents that these settings were merged with.
    func warnings(of reports: [DocumentReport]) -> [String] {
        reports.flatMap(\.warnings)
            + unknownPolicyRoutes.map { policy, route in
                "policies: \(policy) names \(route), which is neither listed nor in a document, so it counts nothing "
                    + "there"
            }
    }
}

extension DocumentReport {
    fileprivate var warnings: [String] {
        let others = leftOut - firstLeftOut.count
        return firstLeftOut.map {
            "routes: openapi \(document): \($0), so it is no route: list it by hand to serve it"
        } + (others > 0 ? ["routes: openapi \(document): \(others) more operations are no routes"] : [])
    }
}
