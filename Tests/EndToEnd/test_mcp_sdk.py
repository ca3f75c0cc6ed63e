# SPDX-License-Identifier: Apache-2.0
"""A part of the MCP SDKs' and FastMCP's own tests, as they are: with a sidecar in front of every server they end as they do without it.

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


#: They leave a stream and then post to it, which is a race that a sidecar in between mostly decides.
LEFT = {
    "tests/server/auth/test_auth_source_identities.py::test_configured_sources_keep_sse_message_ownership_separate",
    *(
        f"tests/server/http/test_sse_host_origin_protection.py::TestSSEMessageEndpoint::{name}"
        for name in (
            "test_rejects_unlisted_host_or_origin_for_open_session[headers0-421]",
            "test_rejects_unlisted_host_or_origin_for_open_session[headers1-403]",
            "test_disabled_protection_accepts_message",
        )
    ),
}


@pytest.mark.parametrize(
    "line, collected, passed, behind, requests, meant",
    [
        # One of its tests skips itself.
        ("sdk1", 37, 36, 18, 60, set()),
        ("sdk2", 68, 68, 66, 300, MEANT),
        ("fastmcp", 64, 63, 39, 100, set()),
    ],
)
def test_the_sdks_own_tests_end_as_they_do_without_a_sidecar(
    folder, line, collected, passed, behind, requests, meant
):
    results = folder / "results.json"
    command = [sys.executable, RUN, "--short", "--line", line, "--results", results]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())

    def total(name: str) -> int:
        return sum(row[name] for row in found["modules"])

    differences = found["differences"][line]
    # The SDKs' tests have deadlines of their own, which a busy machine may miss on either side: what ended alike in six runs
    # alone is no difference.
    hasty = {test for test, why in differences.items() if "run again alone" in why}
    raced = LEFT & set(differences)
    assert set(differences) - hasty - LEFT == meant
    assert len(hasty) <= 2, hasty
    assert total("collected") == collected
    assert total("direct") >= passed - len(hasty)
    assert total("through") >= passed - len(meant) - len(hasty) - len(raced)
    # The sidecars were there, and the requests went through them; a client that polls may send one more or less.
    assert total("behind") == behind
    assert total("requests") > requests
