# SPDX-License-Identifier: Apache-2.0
"""What is kept of a profile, and that the one in force can be read."""

import os
import subprocess
from pathlib import Path

import pytest
from comparison.programs import program

COUNTED = """# IR level Instrumentation Flag
:ir
$s5Proxy5oftenyyF
# Func Hash:
784007058953177093
# Num Counters:
2
# Counter Values:
7
1000

$s5Proxy6seldomyyF
# Func Hash:
784007059655560962
# Num Counters:
1
# Counter Values:
999

Admittance.swift.o;$s5Proxy5calls33_EFF8LLyyF
# Func Hash:
391331303833554905
# Num Counters:
1
# Counter Values:
5000
# Num Value Kinds:
1
# ValueKind = IPVK_IndirectCallTarget:
0
# NumValueSites:
1
1
$s5Proxy5oftenyyF:5000

"""

KEPT = """:ir
$s5Proxy5oftenyyF
784007058953177093
2
7
1000
$0

Admittance.swift.o;$s5Proxy5calls33_EFF8LLyyF
391331303833554905
1
5000
$0
1
0
1
1
$s5Proxy5oftenyyF:5000
"""


@pytest.fixture(scope="module")
def profile():
    return program("profile")


def read(profile, folder: Path, text: str) -> str:
    """What the compiler's own tool reads in it."""
    (folder / "text").write_text(text)
    subprocess.run([profile.merger(), "merge", "-o", folder / "octets", folder / "text"], check=True, stderr=subprocess.PIPE)
    done = subprocess.run(
        [profile.merger(), "show", "--all-functions", "--counts", folder / "octets"], check=True, capture_output=True, text=True)
    return done.stdout


def test_what_requests_execute_is_kept(profile, tmp_path):
    assert profile.kept(COUNTED) == KEPT
    told = read(profile, tmp_path, KEPT)
    assert "Total functions: 2\nMaximum function count: 5000\n" in told


def test_the_profile_in_force_is_of_requests_and_of_no_machine(profile, tmp_path):
    text = profile.PROFILE.read_text()
    # What it was made on is nobody's business.
    assert os.sep not in text
    told = read(profile, tmp_path, text)
    for module in ("Proxy", "Admission", "HTTP1", "Redis", "MCP", "Telemetry", "NIOPosix", "NIOSSL"):
        assert f"$s{len(module)}{module}" in told, module


def test_it_is_kept_as_it_is_made(profile):
    assert profile.kept(profile.PROFILE.read_text().replace("\n$0\n", "\n")) == profile.PROFILE.read_text()
