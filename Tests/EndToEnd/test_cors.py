# SPDX-License-Identifier: Apache-2.0
"""Pages of other origins: preflights are answered without a key and without Redis, and every answer can be read."""

import pytest
from fixtures.upstream import reply
from fixtures.wire import Connection, ask
from test_answers import LIMIT_FIELDS

PAGE = "https://app.example.com"
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


def test_a_preflight_costs_nothing_and_needs_no_redis(launch, upstream, redis):
    daemon = launch(upstream, cors={"allow_origins": [PAGE]}, redis_settings={"timeout": "50ms"})
    # What a sidecar writes by itself comes beside.
    before = redis.names("*:b:*")
    redis.freeze()
    with Connection(daemon.port) as connection:
        for _ in range(40):
            assert connection.request("OPTIONS", "/api/listings", ASKS).status == 204
    redis.thaw()
    assert redis.names("*:b:*") == before == set()


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


def test_with_redis_away_the_503_can_be_read(launch, upstream, key, redis):
    daemon = launch(upstream, cors={"allow_origins": [PAGE]}, redis_settings={"timeout": "50ms"})
    redis.freeze()
    answer = ask(daemon.port, "GET", "/api/listings", key, fields={"Origin": PAGE})
    redis.thaw()
    assert (answer.status, answer["Access-Control-Allow-Origin"]) == (503, PAGE)
