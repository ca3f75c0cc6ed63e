# SPDX-License-Identifier: Apache-2.0
"""A part of the MCP SDKs' own tests, as they are: with a sidecar in front of every server they end as they do without it.

All of them are what `Tests/EndToEnd/sdk/run` runs; its last results are in `docs/mcp-conformance.md`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "sdk/run"


SESSIONS = "tests/interaction/transports/test_hosting_session.py"
#: They compare the handler's words for a session that is gone, for which the sidecar has its own.
MEANT = {
    f"{SESSIONS}::test_requests_with_an_unknown_session_id_return_404",
    f"{SESSIONS}::test_delete_terminates_the_session_and_subsequent_requests_return_404",
}


@pytest.mark.parametrize(
    "line, collected, passed, behind, requests, meant",
    [
        # One of its tests skips itself.
        (1, 37, 36, 18, 100, set()),
        (2, 68, 68, 66, 300, MEANT),
    ],
)
def test_the_sdks_own_tests_end_as_they_do_without_a_sidecar(
    folder, line, collected, passed, behind, requests, meant
):
    results = folder / "results.json"
    command = [sys.executable, RUN, "--short", "--line", str(line), "--results", results]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())

    def total(name: str) -> int:
        return sum(row[name] for row in found["modules"])

    differences = found["differences"][str(line)]
    # The SDKs' tests have deadlines of their own, which a busy machine may miss on either side: what ended alike in six runs
    # alone is no difference.
    hasty = {test for test, why in differences.items() if "run again alone" in why}
    assert set(differences) - hasty == meant
    assert len(hasty) <= 2, hasty
    assert total("collected") == collected
    assert total("direct") >= passed - len(hasty)
    assert total("through") >= passed - len(meant) - len(hasty)
    # The sidecars were there, and the requests went through them; a client that polls may send one more or less.
    assert total("behind") == behind
    assert total("requests") > requests
