# SPDX-License-Identifier: Apache-2.0
"""The official MCP clients, old and new, in both eras, through the sidecar to handlers that are old and new."""

import json
import re
import sys

import pytest
from fixtures.clients import python, run_client
from fixtures.programs import ROOT
from fixtures.wire import ask

LEGACY = ["initialize", "notifications/initialized", "GET", "tools/list", "tools/call", "tools/call", "DELETE"]
MODERN = ["server/discover", "tools/list", "tools/call", "tools/call"]
FALLBACK = ["server/discover", *LEGACY]


def session(line: int, port: int, handler: str, mode: str, key: str) -> dict:
    done = run_client(python(line), "session.py", f"http://127.0.0.1:{port}/mcp", handler, mode, key=key)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "client,mode,handler,protocol,methods",
    [
        (0, "legacy", 0, "2025-06-18", LEGACY),
        (0, "legacy", 1, "2025-06-18", LEGACY),
        (0, "legacy", 2, "2025-06-18", LEGACY),
        (1, "legacy", 0, "2025-06-18", LEGACY),
        (2, "legacy", 0, "2025-06-18", LEGACY),
        (2, "auto", 0, "2025-06-18", FALLBACK),
        (1, "legacy", 1, "2025-11-25", LEGACY),
        (1, "legacy", 2, "2025-11-25", LEGACY),
        (2, "legacy", 1, "2025-11-25", LEGACY),
        (2, "legacy", 2, "2025-11-25", LEGACY),
        (2, "auto", 1, "2025-11-25", FALLBACK),
        (2, "auto", 2, "2026-07-28", MODERN),
        (2, "2026-07-28", 2, "2026-07-28", MODERN[1:]),
    ],
)
def test_a_session_with_progress_one_by_one(launch, stepwise, ctl, client, mode, handler, protocol, methods):
    url = stepwise(handler)
    issued = ctl.issue()
    daemon = launch(url, policies=[{"name": "org", "per": "org", "limit": "20/1h"}])
    said = session(client, daemon.port, url, mode, issued["key"])
    assert said["protocol"] == protocol
    assert said["tools"] == ["add", "climb"]
    assert said["sum"] == "42"
    # Each step was released by whoever had seen the one before: nothing on the way held any of them back.
    assert said["seen"] == [1, 2, 3, 4, 5]
    assert said["climbed"] == "climbed 5"
    # The 400 by which a handler of the old line answers `server/discover` is its own and passes; so did everything else.
    expected = {"server/discover": 400 if methods is FALLBACK else 200, "notifications/initialized": 202}
    assert sorted((method, status) for method, status, _ in said["answers"]) == sorted(
        (method, expected.get(method, 200)) for method in methods
    )
    # Every answer said where the caller stands; what asks for work was counted once, and nothing else was.
    left = {"tools/list": [19], "tools/call": [18, 17]}
    for method, values in left.items():
        assert [int(remaining) for said_method, _, remaining in said["answers"] if said_method == method] == values
    assert all(17 <= int(remaining) <= 20 for _, _, remaining in said["answers"])
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).limits() == (20, 16)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_client_without_a_good_key_is_told(launch, stepwise, ctl, line):
    url = stepwise(2)
    daemon = launch(url)
    done = run_client(python(line), "session.py", f"http://127.0.0.1:{daemon.port}/mcp", url, "legacy", key="mcp_" + "A" * 43)
    assert done.returncode != 0
    # The 2.x client shows our words; the 1.x clients know the status alone.
    assert ("Invalid or inactive API key" if line == 2 else "401") in done.stderr


def test_a_2_x_client_shows_the_words_of_a_429(launch, stepwise, ctl):
    url = stepwise(2)
    key = ctl.issue()["key"]
    daemon = launch(url, policies=[{"name": "org", "per": "org", "limit": "2/1h"}])
    done = run_client(python(2), "session.py", f"http://127.0.0.1:{daemon.port}/mcp", url, "auto", key=key)
    assert done.returncode != 0
    # Starting the client takes a while.
    assert re.search(r"Rate limit exceeded: retry in (1800|17\d\d) s", done.stderr)


def test_the_demo_client_calls_the_demo_handler(launch, demo, ctl):
    issued = ctl.issue()
    daemon = launch(demo)
    done = run_client(sys.executable, ROOT / "deploy/demo/client.py", "--url", f"http://127.0.0.1:{daemon.port}/mcp", key=issued["key"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        'tools/call search {"city": "Lisbon"}\n  Harbour view loft\n  Old town flat\nHTTP 200'
    )
    assert "x-ratelimit-limit: 20" in done.stdout
    assert 'ratelimit-policy: "org";q=20;w=10' in done.stdout
    listings = ask(daemon.port, "GET", "/api/listings", issued["key"]).json()
    assert listings["caller"] == {"org": "acme", "key_id": issued["id"]}
    made = ask(daemon.port, "POST", "/api/listings", issued["key"], body=b'{"title": "Attic"}')
    assert (made.status, made.json()["title"]) == (201, "Attic")
    missing = ask(daemon.port, "GET", "/api/listings/99", issued["key"])
    assert (missing.status, missing.json()) == (404, {"error": "no listing 99"})
