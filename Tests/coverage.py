# SPDX-License-Identifier: Apache-2.0
"""Prints the line coverage of each folder of Sources from llvm-cov's summary, and fails below the percentage given."""

import json
import sys
from collections import defaultdict
from pathlib import Path


def main(summary: Path, least: float) -> int:
    sources = Path(__file__).resolve().parents[1] / "Sources"
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file in json.loads(summary.read_text())["data"][0]["files"]:
        path = Path(file["filename"])
        if path.is_relative_to(sources):
            lines = file["summary"]["lines"]
            for name in (path.relative_to(sources).parts[0], "all"):
                counts[name][0] += lines["covered"]
                counts[name][1] += lines["count"]
    for name, (covered, count) in sorted(counts.items(), key=lambda item: item[0] == "all"):
        print(f"    {name:12} {100 * covered / max(count, 1):5.1f} % of {count} lines")
    covered, count = counts["all"]
    percentage = 100 * covered / max(count, 1)
    if percentage < least:
        print(f"{percentage:.1f} % is below {least} %", file=sys.stderr)
    return 0 if percentage >= least else 1


sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
