# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins in front of handlers that have rules of their own about them."""

import json
import os

import pytest
from fixtures.clients import python
from fixtures.forge import start
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.wire import ask, until

PAGE = "https://app.example.com"
LOCAL = "http://localhost:5173"
FOREIGN = "https://evil.example"
CORS = {"allow_origins": [PAGE, LOCAL]}
ORIGINS = {"origins": [PAGE, "http://localhost:*"]}
TYPE = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


def message(method: str, **params) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


LIST = message("tools/list")


def post(daemon, key, body: bytes = LIST, **fields):
    return ask(daemon.port, "POST", "/mcp", key, fields={**TYPE, **fields}, body=body)


# Origin


def test_the_handler_sees_its_own_origin_of_a_page_that_was_judged_here(launch, upstream, key):
    daemon = launch(upstream, cors=CORS, mcp=ORIGINS)
    for origin in (PAGE, LOCAL, "http://localhost"):
        assert post(daemon, key, Origin=origin).status == 200
        host = upstream.url.removeprefix("http://")
        assert (upstream.last.all("Host"), upstream.last.all("Origin")) == ([host], [f"http://{host}"])
    assert ask(daemon.port, "GET", "/mcp", key, fields={"Origin": PAGE}).status == 200
    assert upstream.last.all("Origin") == [upstream.url]
    # A program is no page.
    assert post(daemon, key).status == 200
    assert upstream.last.get("Origin") is None


def test_without_origins_of_its_own_it_passes_as_it_is(launch, upstream, key):
    daemon = launch(upstream, cors=CORS)
    assert post(daemon, key, Origin=PAGE).status == 200
    assert upstream.last.all("Origin") == [PAGE]


@pytest.fixture
def guarded():
    port = free_port()
    with open(os.devnull, "w") as nothing:
        script = ROOT / "Tests/EndToEnd/fixtures/guarded_server.py"
        process = start(python(1), script, str(port), stdout=nothing.fileno(), stderr=nothing.fileno())
    try:
        until(lambda: answers(port), "the server")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/").status == 404
    except OSError:
        return False


def test_a_page_calls_a_tool_of_fastmcp_with_its_guard_on(launch, guarded, key):
    daemon = launch(guarded, cors=CORS, mcp=ORIGINS)
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    preflight = ask(daemon.port, "OPTIONS", "/mcp", fields=asks)
    assert (preflight.status, preflight["Access-Control-Allow-Origin"]) == (204, PAGE)
    answer = post(daemon, key, message("tools/call", name="climb", arguments={}), Origin=PAGE)
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert answer.json()["result"]["content"][0]["text"] == "at the top"
    # The guard is on.
    host = guarded.removeprefix("http://")
    fields = {**TYPE, "Host": host, "Origin": PAGE}
    assert ask(int(host.rpartition(":")[2]), "POST", "/mcp", fields=fields, body=LIST).status == 403


# The metadata of the resource

METADATA = {"resource": "https://api.example.com/mcp", "authorization_servers": ["https://login.example.com"]}
PATHS = ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource")


def test_a_page_may_ask_for_the_metadata(launch, upstream):
    daemon = launch(upstream, mcp={"resource_metadata": METADATA})
    asks = {
        "Origin": FOREIGN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "mcp-protocol-version",
    }
    for path in PATHS:
        preflight = ask(daemon.port, "OPTIONS", path, fields=asks)
        assert (preflight.status, preflight.body) == (204, b"")
        assert preflight["Access-Control-Allow-Origin"] == "*"
        assert preflight["Access-Control-Allow-Methods"] == "GET, HEAD"
        assert preflight["Access-Control-Allow-Headers"] == "mcp-protocol-version"
        assert "Access-Control-Allow-Credentials" not in preflight
        answer = ask(daemon.port, "GET", path, fields={"Origin": FOREIGN, "MCP-Protocol-Version": "2025-11-25"})
        assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, "*")
        assert answer.json()["resource"] == METADATA["resource"]
    assert upstream.requests == []
    reasons = sorted(line["reason"] for line in daemon.lines(4))
    assert reasons == ["preflight"] * 2 + ["resource_metadata"] * 2
