# SPDX-License-Identifier: Apache-2.0
"""MCP servers mounted in an application of Starlette's, run by uvicorn, by either spelling of their path: clients of every
line and era get through, though they follow no redirect, and pay for what they call."""

import json

import pytest
from fixtures.shared import folder, key, redis
from fixtures.wire import ask
from test_mcp_wires import (
    CALLS,
    JSON,
    STREAM,
    answers,
    daemons,
    exchange,
    handlers,
    pairs,
    players,
    port,
    protocol,
    serve,
    url,
)

#: `/mounted` is led to `/mounted/`, and `/sessions/` to `/sessions`.
SPELLINGS = ["/mounted", "/mounted/", "/sessions", "/sessions/"]


@pairs
@pytest.mark.parametrize("path", ["/mounted", "/sessions/"])
def test_a_session_by_the_other_spelling(daemons, handlers, players, client, handler, path):
    said = players[client].converse(
        url(daemons[handler], path), handlers[handler], calls=CALLS, steps=3, apart=True, consult=[True], announce=True
    )
    assert said["protocol"] == protocol(client, handler)
    assert (said["tools"], said["called"]) == (6, ["42", "3"])
    assert (said["seen"], said["climbed"]) == ([1, 2, 3], "climbed 3")
    assert said["consulted"] == ["Apart? Yes."]
    # What it sent was answered each time, and nowhere by a redirect.
    assert answers(said) == exchange(calls=5, answer=STREAM, stateful=True, consulted=1)


@pytest.mark.parametrize("path", ["/mounted", "/sessions/"])
def test_2026_by_the_other_spelling(daemons, handlers, players, path):
    said = players[2].converse(url(daemons[2], path), handlers[2], mode="2026-07-28", calls=CALLS, steps=3)
    assert (said["protocol"], said["tools"], said["called"]) == ("2026-07-28", 6, ["42", "3"])
    called = [("tools/call", 200, JSON)] * 2 + [("tools/call", 200, STREAM)]
    assert answers(said) == sorted([("tools/list", 200, JSON), *called])


@pytest.mark.parametrize("handler", [0, 1, 2])
@pytest.mark.parametrize("path", SPELLINGS)
def test_a_limit_of_six_passes_six(folder, redis, handlers, key, handler, path):
    # As it is without us.
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
    fields = {"Accept": f"{JSON}, {STREAM}", "Content-Type": JSON, "MCP-Protocol-Version": "2025-06-18"}
    own = {**fields, "Host": handlers[handler].removeprefix("http://")}
    direct = ask(port(handlers[handler]), "POST", path, fields=own, body=body)
    assert (direct.status == 307) == (path in ("/mounted", "/sessions/"))
    name = path.replace("/", "-")
    policy = {"name": f"of{name}{handler}", "per": "key", "limit": "6/1h"}
    daemon = serve(handlers[handler], folder / f"six{name}{handler}", redis, policies=[policy], mcp={"reject": "http"})
    try:
        # Long ones too, whose beginning is all that the application has looked at when it leads elsewhere.
        bodies = [body, body + b" " * 200_000] * 3
        answered = [ask(daemon.port, "POST", path, key, fields=fields, body=each).status for each in bodies]
        assert len(set(answered)) == 1 and answered[0] in (200, 400)
        assert ask(daemon.port, "POST", path, key, fields=fields, body=body).status == 429
        assert len(daemon.lines(7)) == 7
        assert daemon.times_said("such redirects are followed here") == (direct.status == 307)
    finally:
        daemon.stop()


__all__ = ["daemons", "folder", "handlers", "key", "players", "redis"]
