# SPDX-License-Identifier: Apache-2.0
"""A handler that serves a path under its other spelling, with a slash more or less at the end, and says so by a redirect.

Here is what Redis is told of it, and what takes sockets; the rest are rows of `FollowedRedirectTests`.
"""

import contextlib
import json
import socket
import threading
import time

import pytest
from fixtures.upstream import Upstream, reply
from fixtures.wire import PROCESS, Connection, ask, request_bytes, until
from test_mcp_messages import HOUR, SESSION, call, message, opens_sessions, post, remaining

NOTICE = "the handler redirects to the same path but for a slash at its end"
ROUTES = [
    {"path": "/mcp", "mcp": True},
    {"path": "/tools", "mcp": True},
    {"path": "/tools/"},
    {"path": "/files/{rest*}"},
]
KIB = 1 << 10


def moved(location: str, status: str = "307 Temporary Redirect", body: bytes = b"", **fields: str) -> bytes:
    return reply(body, status, {"Location": location, **fields})


class Mounted:
    """Serves some paths, and leads from others; what it says there may need the request."""

    def __init__(self, upstream, led: dict, serve=lambda *_: reply(b"served")):
        self.led, self.serve = led, serve
        upstream.behaviour = self

    def __call__(self, request, peer):
        answer = self.led.get(request.target, self.serve)
        return answer(request, peer) if callable(answer) else answer


@pytest.fixture
def one(launch, upstream):
    """One loop: what it gives back is back by the next request."""

    def start(**settings):
        return launch(upstream, **{"loops": 1, "routes": ROUTES, "policies": [HOUR], **settings})

    return start


def targets(upstream) -> list[str]:
    return [request.target for request in upstream.requests]


def left(port: int, key: str) -> int:
    """Of 20, before it asks, which costs one."""
    return remaining(ask(port, "GET", "/files/x", key))["org"] + 1


def test_it_is_followed_with_all_that_the_request_had(one, upstream, key):
    target, other = "/mcp?a=b", "/mcp/?a=b"
    Mounted(upstream, {target: moved(other)}, opens_sessions)
    daemon = one()
    assert post(daemon.port, key, message("initialize"), path=other)["Mcp-Session-Id"] == SESSION
    fields = {"Mcp-Session-Id": SESSION, "MCP-Protocol-Version": "2025-11-25", "Authorization": "Basic YTpi", "X-A": "1"}
    answer = post(daemon.port, key, call("search"), fields, path=target)
    assert (answer.status, answer.body) == (200, b"{}")
    assert "Location" not in answer
    assert remaining(answer) == {"org": 19}
    first, second = upstream.requests[-2:]
    assert (first.target, second.target) == (target, other)
    # By the same name in all logs, and on the connection that is free again.
    assert (first.method, first.fields, first.body) == (second.method, second.fields, second.body)
    assert second.body == json.dumps(call("search")).encode()
    assert second.get("Mcp-Session-Id") == SESSION
    assert upstream.accepted == 1
    # A third has the same, and nothing more is said of it.
    assert post(daemon.port, key, call("search"), path=target).status == 200
    lines = daemon.lines(3)
    assert [line["path"] for line in lines] == [path.partition("?")[0] for path in (other, target, target)]
    assert [(line["status"], line["decision"]) for line in lines] == [(200, "allow")] * 3
    assert daemon.times_said(NOTICE) == 1
    assert daemon.times_said('hint="clients save a request by the handler\'s own spelling" route=/mcp\n') == 1
    assert "route=/mcp" in daemon.said()


def test_a_limit_of_six_passes_six(one, upstream, key, ctl):
    Mounted(upstream, {"/mcp": moved("/mcp/")})
    daemon = one(policies=[{**HOUR, "limit": "6/1h"}], mcp={"reject": "http"})
    statuses = [post(daemon.port, key, call("search")).status for _ in range(7)]
    assert statuses == [200] * 6 + [429]
    assert len(upstream.requests) == 12

    def used() -> tuple[int, int, int]:
        total = json.loads(ctl.run("usage", "acme", "--json").stdout)["total"]
        return total["allowed"], total["denied"], total["cost"]

    until(lambda: used() == (6, 1, 6), "the usage of six calls", pause=PROCESS)


def test_what_has_no_body_is_followed_too(one, upstream, key):
    def serve(request, peer):
        if request.method == "GET":
            return reply(b"data: 1\n\n", fields={"Content-Type": "text/event-stream"})
        return opens_sessions(request, peer)

    Mounted(upstream, {"/mcp": moved("/mcp/")}, serve)
    daemon = one()
    session = {"Mcp-Session-Id": post(daemon.port, key, message("initialize"))["Mcp-Session-Id"]}
    stream = ask(daemon.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream", **session})
    assert (stream.status, stream.body) == (200, b"data: 1\n\n")
    # One stream, that costs nothing.
    assert remaining(stream) == {"org": 20, "open-streams": 99}
    assert ask(daemon.port, "DELETE", "/mcp", key, fields=session).status == 204
    # Its end was known by the answer, not by the redirect.
    assert ask(daemon.port, "DELETE", "/mcp", key, fields=session).status == 404
    assert targets(upstream) == ["/mcp", "/mcp/"] * 3
    assert [line.get("event") for line in daemon.lines(5)] == [None, "begin", "end", None, None]
    assert left(daemon.port, key) == 20


def test_the_rest_of_a_redirect_reaches_nobody(one, upstream, key):
    """Its connection is closed, and others carry on."""

    def lead(_, peer: socket.socket):
        peer.sendall(moved("/mcp/").replace(b"Content-Length: 0", b"Content-Length: 9") + b"half")
        return b""

    Mounted(upstream, {"/mcp": lead})
    daemon = one()
    with Connection(daemon.port) as connection:
        for turn in range(1, 4):
            answer = connection.request("POST", "/mcp", {"X-API-Key": key}, b"{}")
            assert (answer.status, answer.body) == (200, b"served")
            assert remaining(answer)["org"] == 20 - turn
    assert targets(upstream) == ["/mcp", "/mcp/"] * 3
    led = {request.connection for request in upstream.requests if request.target == "/mcp"}
    assert len(led) == 3
    until(lambda: upstream.open == 1, "the end of the connections that were led away")


def test_its_connections_place_is_free_for_the_second(one, upstream, key):
    """Of two requests one waits for the only connection: where the other is led they change places, and nobody has none."""
    Mounted(upstream, {"/mcp": moved("/mcp/", Connection="close")})
    daemon = one(upstream_settings={"max_connections": 1, "connect_timeout": "20s"})
    answers = []

    def ask_often():
        for _ in range(8):
            answers.append(post(daemon.port, key, call("a")).status)

    threads = [threading.Thread(target=ask_often) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 16
    assert sorted(targets(upstream)) == ["/mcp"] * 16 + ["/mcp/"] * 16


# What passes


def test_a_chain_is_followed_once_and_passes(one, upstream, key):
    Mounted(upstream, {"/mcp": moved("/mcp/"), "/mcp/": moved(f"http://127.0.0.1:{upstream.port}/mcp")})
    daemon = one()
    answer = post(daemon.port, key, call("a"))
    assert (answer.status, answer["Location"]) == (307, "http://tollgate.test/mcp")
    assert targets(upstream) == ["/mcp", "/mcp/"]
    assert left(daemon.port, key) == 20
    assert [line["status"] for line in daemon.lines(2)] == [307, 200]


@pytest.mark.parametrize("size, targets_seen", [(256 * KIB, ["/mcp", "/mcp/"]), (256 * KIB + 1, ["/mcp"])])
def test_what_is_longer_is_not_kept_for_it(one, upstream, key, size, targets_seen):
    Mounted(upstream, {"/mcp": moved("/mcp/")})
    daemon = one()
    body = json.dumps(call("a")).encode()
    answer = post(daemon.port, key, body + b" " * (size - len(body)))
    assert targets(upstream) == targets_seen
    assert {len(request.body) for request in upstream.requests} == {size}
    followed = len(targets_seen) == 2
    assert (answer.status, answer.get("Location")) == ((200, None) if followed else (307, "/mcp/"))
    assert left(daemon.port, key) == (19 if followed else 20)


@pytest.mark.parametrize(
    "method, target, location, status, is_paid",
    [
        ("GET", "/files/a", "/files/a/", "307 Temporary Redirect", False),
        # Another route has the path that it leads to.
        ("POST", "/tools", "/tools/", "307 Temporary Redirect", False),
        ("GET", "/files/a", "/files/a/?b", "307 Temporary Redirect", True),
        # What was posted may have been done.
        ("POST", "/mcp", "/mcp/", "303 See Other", True),
    ],
)
def test_what_passes_is_paid_unless_it_moves_a_slash(one, upstream, key, method, target, location, status, is_paid):
    Mounted(upstream, {target: moved(location, status)})
    daemon = one()
    answer = ask(daemon.port, method, target, key, body=b"{}" if method == "POST" else None)
    assert (f"{answer.status} {answer.reason}", answer["Location"]) == (status, location)
    assert targets(upstream) == [target]
    assert left(daemon.port, key) == 20 - is_paid
    assert daemon.times_said(NOTICE) == 0


# Between the two


@pytest.fixture
def stalls(upstream):
    """Serves nothing where it led to before it is told to."""
    go = threading.Event()

    def serve(*_):
        go.wait(30)
        return reply(b"served")

    Mounted(upstream, {"/mcp": moved("/mcp/")}, serve)
    yield go
    go.set()


def test_a_client_that_leaves_meanwhile_has_left(one, upstream, key, stalls):
    daemon = one()
    arrived = threading.Event()
    upstream.on_head = lambda request, _: request.target == "/mcp/" and arrived.set()
    # Who takes events and closes its side takes no more.
    fields = {"X-API-Key": key, "Accept": "application/json, text/event-stream"}
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/mcp", fields, json.dumps(call("a")).encode()))
        assert arrived.wait(30)
    assert [(line["reason"], line.get("status")) for line in daemon.lines(1)] == [("client_closed", None)]
    stalls.set()
    until(lambda: upstream.open == 0, "the end of the connection")
    assert left(daemon.port, key) == 19


def test_a_drain_meanwhile_waits_for_the_answer(one, upstream, key, stalls):
    daemon = one()
    arrived = threading.Event()
    upstream.on_head = lambda request, _: request.target == "/mcp/" and arrived.set()
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/mcp", {"X-API-Key": key}, json.dumps(call("a")).encode()))
        assert arrived.wait(30)
        daemon.terminate()
        until(lambda: not daemon.listens(), "the end of the listener")
        stalls.set()
        answer = connection.response()
        assert (answer.status, answer.body, answer["Connection"]) == (200, b"served", "close")
    assert daemon.wait() == 0


# What is kept for it


@pytest.mark.parametrize("size, is_kept", [(200 * KIB, True), (300 * KIB, False)])
def test_what_is_kept_counts_until_the_answer_begins(one, upstream, key, size, is_kept):
    """A key has 16 MiB of it; what is too long to be kept is gone when it is sent."""
    go = threading.Event()
    Mounted(upstream, {"/mcp": lambda *_: go.wait(60) and reply(b"served")})
    daemon = one(policies=[{**HOUR, "limit": "1000/1h"}])
    body = json.dumps({**call("a"), "x": "x" * size}).encode()
    under_way = []
    try:
        while len(under_way) < 84 and not daemon.lines():
            under_way.append(Connection(daemon.port))
            under_way[-1].send(request_bytes("POST", "/mcp", {"X-API-Key": key}, body))
            until(lambda: len(upstream.requests) == len(under_way) or daemon.lines(), "it sent or refused")
        assert [line["reason"] for line in daemon.lines()] == (["held_bodies"] if is_kept else [])
        # The room that a connection's buffers take is counted.
        assert 25 < len(upstream.requests) <= (16 * KIB // 200 if is_kept else 84)
        go.set()
        statuses = [connection.response().status for connection in under_way]
        assert statuses == [200] * len(upstream.requests) + [503] * is_kept
    finally:
        for connection in under_way:
            connection.close()
    assert post(daemon.port, key, body).status == 200


def is_taken(daemon, key: str, body: bytes, fields: dict[str, str], path: str) -> bool:
    """Whoever is refused and goes on sending may be cut off before it has read why."""
    with contextlib.suppress(OSError):
        return post(daemon.port, key, body, fields, path=path).status == 200
    return False


def test_what_waits_for_long_is_let_go(one, upstream, key):
    """A request without a bound counts as a stream after a while, and then keeps nothing: a redirect would have come."""
    go = threading.Event()
    Mounted(upstream, {"/mcp": lambda *_: go.wait(600) and moved("/mcp/")})
    daemon = one(
        policies=[{**HOUR, "limit": "1000/1h"}],
        upstream_settings={"response_timeout": "1s"},
        limits={"mcp_body_bytes": "16MiB"},
    )
    fields = {"X-API-Key": key, "Accept": "application/json, text/event-stream"}
    body = json.dumps({**call("a"), "x": "x" * (250 * KIB)}).encode()
    under_way = []
    began = time.monotonic()
    try:
        for number in range(1, 31):
            under_way.append(Connection(daemon.port))
            under_way[-1].send(request_bytes("POST", "/mcp", fields, body))
            upstream.wait_for(number)
        spread = time.monotonic() - began
        # With what they keep it is more than the key may have.
        large = json.dumps({**call("a"), "x": "x" * (10 << 20)}).encode()
        until(lambda: is_taken(daemon, key, large, fields, "/mcp/x"), "room for another", 120)
        # There is as soon as some are let go; the last one is as long after the first as it was sent.
        time.sleep(spread + 3)
        go.set()
        for connection in under_way:
            answer = connection.response()
            assert (answer.status, answer["Location"]) == (307, "/mcp/")
    finally:
        for connection in under_way:
            connection.close()
    assert {request.target for request in upstream.requests} == {"/mcp", "/mcp/x"}


def test_localhost_is_no_name_of_a_socket(launch, folder, key):
    """What listens on the client's own machine is somebody else."""
    handler = Upstream(path=str(folder / "handler.sock"))
    Mounted(handler, {"/mcp": moved("http://localhost/mcp/"), "/mcp/x": moved("http://tollgate.test/mcp/x/")})
    try:
        daemon = launch(handler, routes=ROUTES, policies=[HOUR], upstream_settings={"host": "preserve"})
        answer = post(daemon.port, key, call("search"))
        assert (answer.status, answer["Location"]) == (307, "http://localhost/mcp/")
        assert post(daemon.port, key, call("search"), path="/mcp/x").status == 200
        assert targets(handler) == ["/mcp", "/mcp/x", "/mcp/x/"]
    finally:
        handler.close()
