# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins: preflights are answered without a key and without Redis, and every answer can be read."""

import pytest
from fixtures.upstream import reply
from fixtures.wire import Connection, ask
from test_answers import LIMIT_FIELDS

PAGE = "https://app.example.com"
FOREIGN = "https://evil.example"
EXPOSED = {
    "X-Correlation-ID",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "Mcp-Session-Id",
}
FIELDS = (
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
)
ASKS = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "x-api-key, content-type",
}


CORS = {"allow_origins": [PAGE, "http://localhost:3000"], "allow_credentials": True, "max_age": 600}


@pytest.fixture
def shared(launch, upstream):
    return launch(upstream, cors=CORS)


def allowed(answer, origin: str = PAGE):
    """Asserts that the page may read the answer, and everything that a page may want of it."""
    assert answer["Access-Control-Allow-Origin"] == origin
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert answer.listed("Access-Control-Expose-Headers") >= EXPOSED
    assert "Origin" in answer.listed("Vary")


def unmentioned(answer):
    assert not [name for name in FIELDS if name in answer], answer.head


def test_a_preflight_is_answered_here(shared, upstream):
    answer = ask(shared.port, "OPTIONS", "/api/listings", fields=ASKS)
    assert (answer.status, answer.reason, answer.body) == (204, "No Content", b"")
    assert answer["Access-Control-Allow-Origin"] == PAGE
    assert answer["Access-Control-Allow-Credentials"] == "true"
    assert answer["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
    assert answer["Access-Control-Allow-Headers"] == "x-api-key, content-type"
    assert answer["Access-Control-Max-Age"] == "600"
    assert answer.listed("Vary") == {"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
    assert answer["X-Correlation-ID"] and answer["Date"]
    assert "Content-Length" not in answer and "Transfer-Encoding" not in answer
    assert not [name for name in LIMIT_FIELDS if name in answer]
    assert upstream.requests == []
    line = shared.lines(1)[0]
    assert (line["status"], line["reason"], line["method"], line["route"]) == (
        204,
        "preflight",
        "OPTIONS",
        "/api/listings",
    )
    assert "decision" not in line


@pytest.mark.parametrize("length", [None, "0"])
def test_the_methods_are_those_of_the_path(shared, length):
    fields = {**ASKS, "Access-Control-Request-Method": "DELETE"}
    if length:
        fields["Content-Length"] = length
    for path, methods in {
        "/health": "GET, HEAD",
        "/api/listings/7": "GET, HEAD",
        "/files/a/b": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        "/mcp": "DELETE, GET, HEAD, POST",
        "/mcp/messages": "DELETE, GET, HEAD, POST",
    }.items():
        answer = ask(shared.port, "OPTIONS", path, fields=fields)
        assert (answer.status, answer["Access-Control-Allow-Methods"]) == (204, methods)


def test_with_no_routes_a_preflight_names_the_common_methods(launch, upstream):
    daemon = launch(upstream, routes=None, cors={"allow_origins": [PAGE]})
    answer = ask(daemon.port, "OPTIONS", "/what/ever", fields=ASKS)
    assert answer["Access-Control-Allow-Methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert "Access-Control-Allow-Credentials" not in answer
    assert upstream.requests == []


def test_a_preflight_without_fields_asked_for_names_none(shared):
    fields = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    answer = ask(shared.port, "OPTIONS", "/api/listings", fields=fields)
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (204, PAGE)
    assert "Access-Control-Allow-Headers" not in answer


@pytest.mark.parametrize(
    "origin",
    [
        FOREIGN,
        "null",
        "https://app.example.com.evil.example",
        "https://app.example.co",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://sub.app.example.com",
        "app.example.com",
    ],
)
def test_to_a_foreign_origin_nothing_is_said(shared, upstream, key, origin):
    preflight = ask(shared.port, "OPTIONS", "/api/listings", fields={**ASKS, "Origin": origin})
    assert preflight.status == 204
    unmentioned(preflight)
    assert "Origin" in preflight.listed("Vary")
    assert upstream.requests == []
    answer = ask(shared.port, "GET", "/api/listings", key, fields={"Origin": origin})
    assert answer.status == 200
    unmentioned(answer)
    assert "Origin" in answer.listed("Vary")


def test_a_preflight_costs_nothing_and_needs_no_redis(launch, upstream, redis):
    daemon = launch(upstream, cors={"allow_origins": [PAGE]}, redis_settings={"timeout": "50ms"})
    before = redis.names()
    redis.freeze()
    with Connection(daemon.port) as connection:
        for _ in range(40):
            assert connection.request("OPTIONS", "/api/listings", ASKS).status == 204
    redis.thaw()
    assert redis.names() == before


def test_pipelined_preflights_are_answered_in_order(shared):
    with Connection(shared.port) as connection:
        head = "OPTIONS {} HTTP/1.1\r\nHost: h\r\nOrigin: {}\r\nAccess-Control-Request-Method: GET\r\n\r\n"
        paths = ["/health", "/api/listings", "/nothing", "/mcp"] * 10
        connection.send("".join(head.format(path, PAGE) for path in paths).encode())
        answers = [connection.response("OPTIONS") for _ in paths]
    assert [answer.status for answer in answers[:4]] == [204, 204, 404, 204]
    # Refused ones cost the address; the rest go on unhindered.
    assert all(answer.status == 204 for answer, path in zip(answers, paths) if path != "/nothing")


def test_every_refusal_can_be_read_by_the_page(launch, upstream, key):
    # None comes back while it is used up.
    daemon = launch(upstream, cors=CORS, policies=[{"name": "org", "per": "org", "limit": "20/1h"}])

    def told(method: str, path: str, key: str | None = None, **fields):
        answer = ask(daemon.port, method, path, key, fields={"Origin": PAGE, **fields})
        allowed(answer)
        return answer

    assert told("GET", "/nothing").status == 404
    assert told("OPTIONS", "/nothing", **{"Access-Control-Request-Method": "GET"}).status == 404
    assert told("DELETE", "/api/listings").status == 405
    assert told("GET", "/api/listings").status == 401
    assert told("GET", "/api/%2e%2e/x").status == 400
    assert told("GET", "/api/listings", key, Authorization=f"Bearer mcp_{'B' * 43}").status == 400
    upstream.behaviour = lambda *_: None
    assert told("POST", "/api/listings", key).status == 502
    upstream.behaviour = lambda *_: reply()
    statuses = [told("GET", "/api/listings", key).status for _ in range(20)]
    assert statuses[-1] == 429
    refused = told("GET", "/api/listings", key)
    assert refused.status == 429 and int(refused["Retry-After"]) >= 1


def test_a_body_that_turns_bad_is_refused_readably(shared, key):
    with Connection(shared.port) as connection:
        connection.send(
            f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nOrigin: {PAGE}\r\n"
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode()
        )
        answer = connection.response()
    assert answer.status == 400
    allowed(answer)


def test_with_redis_away_the_503_can_be_read(launch, upstream, key, redis):
    daemon = launch(upstream, cors={"allow_origins": [PAGE]}, redis_settings={"timeout": "50ms"})
    redis.freeze()
    answer = ask(daemon.port, "GET", "/api/listings", key, fields={"Origin": PAGE})
    redis.thaw()
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (503, PAGE)


def test_our_fields_replace_the_handlers_and_its_list_is_added_to(shared, upstream, key):
    upstream.behaviour = lambda *_: reply(
        b"mine",
        fields={
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Credentials": "false",
            "Access-Control-Allow-Methods": "PUT",
            "Access-Control-Allow-Headers": "x-mine",
            "Access-Control-Max-Age": "5",
            "Access-Control-Expose-Headers": "X-Mine",
            "Vary": "Accept",
        },
    )
    answer = ask(shared.port, "GET", "/api/listings", key, fields={"Origin": "http://localhost:3000"})
    allowed(answer, "http://localhost:3000")
    assert answer.body == b"mine"
    assert answer.listed("Access-Control-Expose-Headers") == EXPOSED | {"X-Mine"}
    assert answer.listed("Vary") >= {"Accept", "Origin"}
    assert not [n for n in FIELDS[2:4] + FIELDS[5:] if n in answer]
    # To no page, and to one that may not, the handler's own word isn't passed on either.
    for fields in ({}, {"Origin": FOREIGN}):
        answer = ask(shared.port, "GET", "/api/listings", key, fields=fields)
        assert "Access-Control-Allow-Origin" not in answer
        assert "Access-Control-Allow-Credentials" not in answer
        assert answer["Access-Control-Expose-Headers"] == "X-Mine"


def test_an_origin_given_twice_is_none(shared, key):
    with Connection(shared.port) as connection:
        connection.send(
            f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nOrigin: {PAGE}\r\nOrigin: {PAGE}\r\n\r\n".encode()
        )
        answer = connection.response()
    assert answer.status == 200
    unmentioned(answer)


def test_any_origin(launch, upstream, key):
    daemon = launch(upstream, cors={"allow_origins": ["*"]})
    preflight = ask(daemon.port, "OPTIONS", "/api/listings", fields={**ASKS, "Origin": "null"})
    assert (preflight.status, preflight["Access-Control-Allow-Origin"]) == (204, "*")
    assert preflight["Access-Control-Max-Age"] == "600"
    for fields in ({"Origin": FOREIGN}, {}):
        answer = ask(daemon.port, "GET", "/api/listings", key, fields=fields)
        assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, "*")
        assert answer.listed("Access-Control-Expose-Headers") == EXPOSED
        assert "Access-Control-Allow-Credentials" not in answer
        assert "Origin" not in answer.listed("Vary")


def test_an_options_that_is_no_preflight_needs_a_key(shared, upstream, key):
    plain = {"Origin": PAGE}
    assert ask(shared.port, "OPTIONS", "/files/a", fields=plain).status == 401
    assert ask(shared.port, "OPTIONS", "/files/a", key, fields=plain).status == 200
    assert upstream.last.method == "OPTIONS"
    # One with a body is none either: it could carry anything past the gate.
    assert ask(shared.port, "OPTIONS", "/files/a", fields=ASKS, body=b"x").status == 401


def test_without_cors_everything_is_the_handlers_business(tollgate, upstream, key):
    upstream.behaviour = lambda *_: reply(
        b"", "204 No Content", {"Access-Control-Allow-Origin": "*", "Access-Control-Max-Age": "5"}
    ).replace(b"Content-Length: 0\r\n", b"")
    answer = ask(tollgate.port, "OPTIONS", "/api/listings", fields=ASKS)
    assert answer.status == 204
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert answer["Access-Control-Max-Age"] == "5"
    assert "Access-Control-Expose-Headers" not in answer
    assert upstream.last.method == "OPTIONS"
    refused = ask(tollgate.port, "GET", "/api/listings", fields={"Origin": PAGE})
    assert refused.status == 401
    unmentioned(refused)
