# SPDX-License-Identifier: Apache-2.0
"""A FastAPI application with an MCP server mounted in it, behind the daemon: it stays as it was, to the byte."""

import json
from pathlib import Path

import pytest
from fixtures.clients import python, run_client, running_handler
from fixtures.programs import Daemon
from fixtures.wire import Response, ask

HERE = Path(__file__).parent
ROUTES = [
    {"path": "/health", "methods": ["GET"], "public": True, "throttle": False},
    {"path": "/api/listings", "methods": ["GET", "POST"]},
    {"path": "/api/listings/{id}", "methods": ["GET"]},
    {"path": "/api/whoami", "methods": ["GET"]},
    {"path": "/mcp", "mcp": True},
]
#: As they come with nothing configured, but with room for the tests and no refill to watch for.
POLICIES = [
    {"name": "address", "per": "address", "limit": "15/1h"},
    {"name": "org", "per": "org", "limit": "40/1h"},
]
#: Of an answer, what every second and every connection has its own of (the length of the body is looked at apart), and
#: what Tollgate is here to add.
DIFFERENT = {
    "date",
    "connection",
    "content-length",
    "vary",
    "cache-control",
    "x-correlation-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit",
    "ratelimit-policy",
}


@pytest.fixture(scope="module")
def application():
    """The port of the application, run by uvicorn."""
    with running_handler(1, HERE / "fixtures/fastapi_app.py") as port:
        yield int(port)


@pytest.fixture
def guarded(launch, application) -> Daemon:
    return launch(f"http://127.0.0.1:{application}", routes=ROUTES, policies=POLICIES)


def own(answer: Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """What of an answer is the application's."""
    assert int(answer["Content-Length"]) == len(answer.body)
    fields = [(name.lower(), value) for name, value in answer.fields if name.lower() not in DIFFERENT]
    return answer.status, fields, answer.body


@pytest.mark.parametrize(
    "method,target,body,status,words",
    [
        ("GET", "/api/listings", None, 200, '"Café São Jorge"'),
        ("GET", "/api/listings?city=Porto&limit=1", None, 200, '"Garden studio"'),
        ("GET", "/api/listings/1", None, 200, '"Harbour view loft"'),
        ("POST", "/api/listings", b'{"title": "Attic", "city": "Faro", "price": 60}', 201, '"id":4'),
        # Its own 404 for what it has not got, its own 422 for what it can't read: path, query, body and no JSON at all.
        ("GET", "/api/listings/9", None, 404, '{"detail":{"error":"no such listing","id":9}}'),
        ("GET", "/api/listings/nine", None, 422, '"loc":["path","listing_id"]'),
        ("GET", "/api/listings/caf%C3%A9", None, 422, '"input":"café"'),
        ("GET", "/api/listings?limit=99", None, 422, '"loc":["query","limit"]'),
        ("POST", "/api/listings", b'{"title": "At", "price": 0}', 422, '"loc":["body","city"]'),
        ("POST", "/api/listings", b"{", 422, '"type":"json_invalid"'),
    ],
)
def test_answers_arrive_as_the_application_made_them(guarded, application, key, method, target, body, status, words):
    fields = {"Content-Type": "application/json"} if body else None
    through = ask(guarded.port, method, target, key, fields=fields, body=body)
    directly = ask(application, method, target, fields=fields, body=body)
    assert own(through) == own(directly)
    assert through.status == status
    assert words in through.body.decode()
    assert through["Content-Type"] == "application/json"
    assert through.limits() == (40, 39)
    assert through["RateLimit-Policy"] == '"org";q=40;w=3600'
    assert through["RateLimit"].startswith('"org";r=39;t=')
    assert "X-Correlation-ID" in through
    assert not any(name.lower().startswith(("x-ratelimit", "ratelimit")) for name, _ in directly.fields)


def test_what_is_ours_is_answered_by_us(guarded, application, key):
    unknown = ask(guarded.port, "GET", "/api/unknown", key)
    assert (unknown.status, unknown["Content-Type"]) == (404, "application/problem+json")
    document = unknown.json()
    assert document["detail"] == "Route '/api/unknown' not found"
    assert (document["path"], document["method"]) == ("/api/unknown", "GET")
    # The application's own words for it would have been others.
    assert ask(application, "GET", "/api/unknown").body == b'{"detail":"Not Found"}'

    # Pages that FastAPI serves on its own are no routes unless they are listed.
    assert ask(application, "GET", "/openapi.json").status == 200
    assert ask(guarded.port, "GET", "/openapi.json", key).status == 404

    wrong = ask(guarded.port, "DELETE", "/api/listings/1", key)
    assert (wrong.status, wrong["Allow"]) == (405, "GET, HEAD")

    for presented in (None, "mcp_" + "A" * 43):
        for path in ("/api/listings", "/api/listings/1", "/mcp", "/mcp/"):
            refused = ask(guarded.port, "GET", path, presented)
            assert refused.status == 401
            assert refused["WWW-Authenticate"].startswith('Bearer realm="tollgate"')
            assert refused.limits()[0] == 15
            assert b"no such listing" not in refused.body
    # Each of those eleven was the address's to pay.
    assert ask(guarded.port, "GET", "/api/listings").limits() == (15, 15 - 11 - 1)


def test_the_public_route_wants_no_key_and_takes_no_tokens(guarded, application):
    for _ in range(20):
        answer = ask(guarded.port, "GET", "/health")
        assert own(answer) == own(ask(application, "GET", "/health"))
        assert answer.json() == {"status": "ok"}
        assert answer.limits() == (15, 15)


def test_the_application_learns_who_calls_and_never_the_key(guarded, ctl):
    issued = ctl.issue()
    spoofed = {"X-Tollgate-Org": "evil", "X-Tollgate-Key-Id": "evil/1"}
    answer = ask(guarded.port, "GET", "/api/whoami", issued["key"], fields=spoofed)
    assert answer.json() == {"org": "acme", "key_id": issued["id"], "key": None}


def test_the_limit_holds_for_routes_and_tools_together(launch, application, key):
    policies = [{"name": "org", "per": "org", "limit": "3/1h"}]
    daemon = launch(f"http://127.0.0.1:{application}", routes=ROUTES, policies=policies)
    targets = ["/api/listings", "/api/listings/9", "/api/listings/nine", "/api/listings"]
    answers = [ask(daemon.port, "GET", target, key) for target in targets]
    # The application's own 404 and 422 were calls like any other.
    assert [answer.status for answer in answers] == [200, 404, 422, 429]
    assert [answer.limits()[1] for answer in answers] == [2, 1, 0, 0]
    refused = ask(daemon.port, "POST", "/mcp/", key, fields={"Content-Type": "application/json"}, body=b"{}")
    assert refused.status == 429
    assert refused.json()["error"]["code"] == 42900


LEGACY = ["initialize", "notifications/initialized", "GET", "tools/list", *["tools/call"] * 3, "DELETE"]


@pytest.mark.parametrize("line,mode", [(1, "legacy"), (2, "legacy"), (2, "auto")])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_an_mcp_session_with_the_mounted_server(guarded, key, line, mode, path):
    done = run_client(python(line), "listings.py", f"http://127.0.0.1:{guarded.port}{path}", mode, key=key)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["protocol"] == "2025-11-25"
    assert said["tools"] == ["price", "search"]
    assert said["found"] == ["Harbour view loft", "Café São Jorge"]
    assert said["price"] == ["75"]
    assert "9" in said["missing"][0]

    methods = ["server/discover", *LEGACY] if mode == "auto" else LEGACY
    status = {"server/discover": 400, "notifications/initialized": 202}
    # Starlette sends a mounted application's name on to its slash, which is followed for the caller.
    expected = sorted((method, status.get(method, 200)) for method in methods)
    assert sorted((method, code) for method, code, _, _ in said["answers"]) == expected
    # Every one of them said where the caller stands, and each that asks for work was counted, once.
    assert all(told for _, _, _, told in said["answers"])
    charged = sum(method.startswith("tools/") for method, _ in expected)
    assert min(left for _, _, left, _ in said["answers"]) == 40 - charged
