# SPDX-License-Identifier: Apache-2.0
"""Adds up what all test runners wrote into a folder, names what failed, and ends with one line `N passed, N failed`.

A stage that failed without a failed test (a crash, a build, a formatting error) counts as one failure.
"""

import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def main(results: Path) -> int:
    passed, failed = 0, []
    for file in sorted(results.glob("*.xml")):
        try:
            cases = list(xml.parse(file).iter("testcase"))
        except xml.ParseError as problem:
            failed.append(f"{file.name} can't be read: {problem}")
            continue
        for case in cases:
            name = f"{case.get('classname')} {case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
            elif case.find("skipped") is not None:
                # Nothing here has a reason to be skipped: a test that did not run proves nothing.
                failed.append(f"{name} (skipped)")
            else:
                passed += 1
    named = {path.stem for path in results.glob("*.failed")}
    for stage in sorted(named):
        reports = list(results.glob(f"{stage}*.xml"))
        told = any("<failure" in report.read_text() or "<error" in report.read_text() for report in reports)
        if not told:
            failed.append(f"stage {stage}")
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


sys.exit(main(Path(sys.argv[1])))
