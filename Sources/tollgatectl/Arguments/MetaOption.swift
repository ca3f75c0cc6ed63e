// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Limits

/// What a verb that makes something notes about it.
struct MetaOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What to note about it: a JSON object of at most 1 KiB. The handler gets what keys.forward_meta lists.",
            valueName: "json"),
        transform: Meta.init(argument:))
    var meta: Meta?
}
