# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins in front of handlers that have rules of their own about them."""

import json
import os

import pytest
from fixtures.clients import python
from fixtures.forge import start
from fixtures.programs import ROOT
from fixtures.wire import Connection, ask, free_port, until

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


def test_an_origin_given_twice_becomes_one(launch, upstream, key):
    daemon = launch(upstream, cors=CORS, mcp=ORIGINS)
    with Connection(daemon.port) as connection:
        connection.send(
            f"DELETE /mcp HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nOrigin: {PAGE}\r\nOrigin: {LOCAL}\r\n\r\n".encode()
        )
        assert connection.response("DELETE").status == 200
    assert upstream.last.all("Origin") == [upstream.url]


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://app.example.com", ""])
def test_a_page_that_is_not_listed_is_refused_here(launch, upstream, key, origin):
    daemon = launch(upstream, cors=CORS, mcp=ORIGINS)
    answer = post(daemon, key, Origin=origin)
    assert (answer.status, answer.json()["error"]["message"]) == (403, "Origin not allowed")
    assert upstream.requests == []


UNTOUCHED = {
    "without mcp.origins": {"cors": CORS},
    "with an empty list": {"cors": CORS, "mcp": {"origins": []}},
    "without cors": {"mcp": ORIGINS},
    "with the client's Host": {"cors": CORS, "mcp": ORIGINS, "upstream_settings": {"host": "preserve"}},
    "with the client's Host on the route": {
        "cors": CORS,
        "mcp": ORIGINS,
        "routes": [{"path": "/mcp", "mcp": True, "host": "preserve"}],
    },
}


@pytest.mark.parametrize("settings", UNTOUCHED.values(), ids=UNTOUCHED)
def test_elsewhere_it_passes_as_it_is(launch, upstream, key, settings):
    daemon = launch(upstream, **settings)
    assert post(daemon, key, Origin=PAGE).status == 200
    assert upstream.last.all("Origin") == [PAGE]


def test_other_routes_pass_every_origin(launch, upstream, key):
    daemon = launch(upstream, cors=CORS, mcp=ORIGINS)
    for origin in (PAGE, FOREIGN, "null"):
        assert ask(daemon.port, "GET", "/api/listings", key, fields={"Origin": origin}).status == 200
        assert upstream.last.all("Origin") == [origin]


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


# Where the handler does CORS itself

NOTICE = "a page of another origin was refused and can't read why: list its origin in cors.allow_origins"


def test_it_is_said_once_that_pages_cannot_read_refusals(launch, upstream, key):
    daemon = launch(upstream)
    # Neither a program nor a page of our own misses anything, nor does one that is answered.
    assert ask(daemon.port, "GET", "/api/listings").status == 401
    own = {"Host": "api.example.com", "Origin": "https://api.example.com"}
    assert ask(daemon.port, "GET", "/api/listings", fields=own).status == 401
    behind = {"Host": "inner", "X-Forwarded-Host": "api.example.com", "Origin": "https://api.example.com"}
    assert ask(daemon.port, "GET", "/api/listings", fields=behind).status == 401
    assert ask(daemon.port, "GET", "/api/listings", key, fields={"Origin": PAGE}).status == 200
    assert daemon.times_said(NOTICE) == 0
    assert ask(daemon.port, "GET", "/api/listings", fields={"Origin": PAGE}).status == 401
    until(lambda: daemon.times_said(NOTICE) == 1, "the notice")
    assert ask(daemon.port, "GET", "/nothing", fields={"Origin": "null"}).status == 404
    assert ask(daemon.port, "GET", "/health").status == 200
    assert daemon.times_said(NOTICE) == 1


def test_an_answer_in_the_handlers_stead_is_a_refusal_too(launch, upstream, key):
    daemon = launch(upstream)
    upstream.behaviour = lambda *_: None
    assert ask(daemon.port, "POST", "/api/listings", key, fields={"Origin": PAGE}).status == 502
    until(lambda: daemon.times_said(NOTICE) == 1, "the notice")


def test_nothing_is_said_where_cors_is_ours(launch, upstream):
    daemon = launch(upstream, cors=CORS)
    for origin in (PAGE, FOREIGN):
        assert ask(daemon.port, "GET", "/api/listings", fields={"Origin": origin}).status == 401
    assert ask(daemon.port, "GET", "/health").status == 200
    assert daemon.times_said(NOTICE) == 0


# The metadata of the resource

METADATA = {"resource": "https://api.example.com/mcp", "authorization_servers": ["https://login.example.com"]}
PATHS = ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource")


@pytest.mark.parametrize("settings", [{}, {"cors": CORS}, {"preflights": "refuse"}, {"routes": None}])
def test_a_page_may_ask_for_the_metadata(launch, upstream, settings):
    daemon = launch(upstream, mcp={"resource_metadata": METADATA}, **settings)
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


def test_what_is_no_preflight_is_a_path_like_any_other(launch, upstream):
    daemon = launch(upstream, mcp={"resource_metadata": METADATA})
    for method, fields in (("OPTIONS", {}), ("OPTIONS", {"Origin": PAGE}), ("POST", {})):
        assert ask(daemon.port, method, PATHS[0], fields=fields).status == 404
    assert upstream.requests == []
