# SPDX-License-Identifier: Apache-2.0
"""What a redirect to the other spelling of a path costs, and how long a request is kept for one."""

import json
import threading
import time

import pytest
from fixtures.wire import Connection, ask, request_bytes, until
from test_mcp_messages import HOUR, call, post, remaining
from test_slash_redirects import KIB, Mounted, is_taken, moved, one, targets  # noqa: F401

PAID = {"name": "paid", "per": "org"}


@pytest.mark.parametrize(
    "policy, fields, cost",
    [
        ({"limit": "20/1h"}, {}, 0),
        ({"limit": "20/1h", "charge_on": ["2xx", "3xx"]}, {}, 1),
        ({"limit": "20/1h", "charge_on": [301]}, {}, 0),
        ({"limit": "20/1h", "cost_header": "X-Cost"}, {"X-Cost": "5"}, 5),
        ({"limit": "20/1h", "cost_header": "X-Cost"}, {}, 0),
    ],
)
def test_a_policy_that_says_what_it_costs_wins(one, upstream, key, policy, fields, cost):
    Mounted(upstream, {"/files/a": moved("/files/a/", **fields)})
    daemon = one(policies=[{**HOUR}, {**PAID, **policy}])
    assert ask(daemon.port, "GET", "/files/a", key).status == 307
    assert remaining(ask(daemon.port, "GET", "/files/x", key)) == {"org": 19, "paid": 19 - cost}


def test_of_one_that_is_followed_the_second_answer_says_the_cost(one, upstream, key):
    def serve(*_):
        return moved("/elsewhere", "200 OK", **{"X-Cost": "3"})

    Mounted(upstream, {"/mcp": moved("/mcp/", **{"X-Cost": "7"})}, serve)
    daemon = one(policies=[{**HOUR, "cost_header": "X-Cost"}])
    assert post(daemon.port, key, call("a")).status == 200
    assert targets(upstream) == ["/mcp", "/mcp/"]
    # Two answers that cost three.
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 16}


@pytest.mark.parametrize("is_public", [False, True])
def test_redirects_are_free_up_to_a_rate(one, upstream, key, is_public):
    """Else no limit would bound what a handler answers so."""
    Mounted(upstream, {"/files/a": moved("/files/a/")})
    route = {"path": "/files/{rest*}", **({"public": True} if is_public else {})}
    daemon = one(
        routes=[route],
        policies=[{"name": "hour", "per": "address" if is_public else "org", "limit": "5/1h"}],
    )
    fields = {} if is_public else {"X-API-Key": key}
    statuses = []

    def turned_away():
        with Connection(daemon.port) as connection:
            connection.send(request_bytes("GET", "/files/a", fields) * 400)
            statuses.extend(connection.response().status for _ in range(400))
        return 429 in statuses

    until(turned_away, "the end of what is given back", 120)
    assert set(statuses) == {307, 429}
    # So many are free at once.
    assert statuses.index(429) >= 105
    assert len(upstream.requests) == statuses.count(307)


def test_a_body_is_kept_no_longer_where_the_response_has_long(one, upstream, key):
    """With what they keep the key has no room for others, which a redirect is not worth."""
    go = threading.Event()
    Mounted(upstream, {"/mcp": lambda *_: go.wait(120) and moved("/mcp/")})
    daemon = one(
        routes=[{"path": "/mcp", "mcp": True, "response_timeout": "1h"}, {"path": "/tools", "mcp": True}],
        policies=[{**HOUR, "limit": "1000/1h"}],
        limits={"mcp_body_bytes": "16MiB"},
    )
    body = json.dumps({**call("a"), "x": "x" * (250 * KIB)}).encode()
    under_way = []
    began = time.monotonic()
    try:
        for number in range(1, 31):
            under_way.append(Connection(daemon.port))
            under_way[-1].send(request_bytes("POST", "/mcp", {"X-API-Key": key}, body))
            upstream.wait_for(number)
        spread = time.monotonic() - began
        large = json.dumps({**call("a"), "x": "x" * (10 << 20)}).encode()
        until(lambda: is_taken(daemon, key, large, {}, "/tools"), "room for another", 60)
        # There is as soon as some are let go; the last one is as long after the first as it was sent.
        time.sleep(spread + 3)
        go.set()
        for connection in under_way:
            answer = connection.response()
            assert (answer.status, answer["Location"]) == (307, "/mcp/")
    finally:
        for connection in under_way:
            connection.close()


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example"])
def test_a_client_without_a_name_is_not_led_to_anothers(one, upstream, key, path):
    Mounted(upstream, {}, lambda request, _: moved(f"http://127.0.0.1:{upstream.port}{request.target}/"))
    daemon = one(routes=None)
    with Connection(daemon.port) as connection:
        connection.send(f"GET {path} HTTP/1.0\r\nX-API-Key: {key}\r\n\r\n".encode())
        answer = connection.response()
    assert (answer.status, answer["Location"]) == (307, f"/.{path}/")
