# SPDX-License-Identifier: Apache-2.0
"""Prints the line coverage of folders of Sources from llvm-cov's summary, and fails below the percentages given.

usage: coverage.py SUMMARY FOLDER=PERCENT... where `all` is all of Sources, and `other` asks for a line of each other folder
"""

import json
import sys
from collections import defaultdict
from pathlib import Path


def main(summary: Path, wanted: list[str]) -> int:
    sources = Path(__file__).resolve().parents[1] / "Sources"
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file in json.loads(summary.read_text())["data"][0]["files"]:
        path = Path(file["filename"])
        if path.is_relative_to(sources):
            lines = file["summary"]["lines"]
            for name in (path.relative_to(sources).parts[0], "all"):
                counts[name][0] += lines["covered"]
                counts[name][1] += lines["count"]
    least = dict(name.split("=") for name in wanted if name != "other")
    failed = False
    for name, (covered, count) in sorted(counts.items(), key=lambda item: item[0] == "all"):
        if name in least or "other" in wanted:
            percentage = 100 * covered / max(count, 1)
            print(f"    {name:12} {percentage:5.1f} % of {count} lines")
            if percentage < float(least.pop(name, 0)):
                print(f"{name}: {percentage:.1f} % is too little: {' '.join(wanted)}", file=sys.stderr)
                failed = True
    for name in least:
        print(f"{name}: nothing of it is there", file=sys.stderr)
    return 1 if failed or least else 0


sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
