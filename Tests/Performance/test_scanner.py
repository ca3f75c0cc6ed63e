# SPDX-License-Identifier: Apache-2.0
"""The scanner of MCP messages beside Foundation's JSONDecoder, as ratios within one run."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_five_megabytes_take_a_quarter_of_what_foundation_takes():
    # By the flags of the release build, which would be made anew by others.
    build = [ROOT / "deploy/build", "--product", "ScannerBenchmark"]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = subprocess.run([ROOT / ".build/release/ScannerBenchmark"], check=True, capture_output=True, text=True)
    print(done.stdout)
    ratios = {
        name: float(whole)
        for name, whole in re.findall(r"^([^:]+): .* ms for all; ratios \S+ (\S+)$", done.stdout, re.MULTILINE)
    }
    assert set(ratios) == {"small objects", "long strings", "text beyond ASCII"}
    assert ratios["small objects"] <= 0.25
    assert ratios["long strings"] <= 0.25
