# SPDX-License-Identifier: Apache-2.0
"""Which connection to the handler a request gets, and what happens when it turns out to be a dead one."""

import socket
import struct
import threading
import time

import pytest
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, ask, until

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.fixture
def daemon(launch, upstream):
    """One loop, so that there is one pool."""
    return launch(upstream, loops=1, policies=WIDE, upstream_settings={"idle_timeout": "60s"})


def get(daemon, key) -> int:
    return ask(daemon.port, "GET", "/api/listings", key).status


def post(daemon, key) -> int:
    return ask(daemon.port, "POST", "/api/listings", key, body=b"{}").status


def connections_of(upstream: Upstream) -> list[int]:
    """On which connection each request came, counted from 1."""
    return [request.connection for request in upstream.requests]


# MARK: What is kept

KEPT = {
    "counted": reply(b"ok"),
    "empty": reply(b""),
    "chunked": CHUNKED,
    "chunked with trailers": CHUNKED.replace(b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
    "keep-alive": reply(b"ok", fields={"Connection": "keep-alive", "Keep-Alive": "timeout=5"}),
}

CLOSED = {
    "says close": reply(b"ok", fields={"Connection": "close"}),
    "says close in a list": reply(b"ok", fields={"Connection": "x-a, Close"}),
    "an older version": reply(b"ok").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "an older version that keeps": reply(b"ok", fields={"Connection": "keep-alive"}).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a byte too many": reply(b"ok") + b"!",
    "a response too many": reply(b"ok") + reply(b"stray"),
    "a byte too many behind chunks": CHUNKED + b"!",
}


@pytest.mark.parametrize("answer", KEPT.values(), ids=KEPT.keys())
def test_a_connection_is_kept_after(daemon, upstream, key, answer):
    upstream.behaviour = lambda *_: answer
    assert {get(daemon, key), get(daemon, key), get(daemon, key)} <= {200, 204, 304}
    assert connections_of(upstream) == [1, 1, 1]


#: A head that announces a body where none may be, and what some handlers send all the same.
ANNOUNCED = {
    "not modified": ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n"),
    "no content": ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n"),
    "head": ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"),
    "head in chunks": ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
}


@pytest.mark.parametrize("method, head", ANNOUNCED.values(), ids=ANNOUNCED.keys())
def test_a_body_that_may_not_come_is_nobodys_answer(daemon, upstream, key, method, head):
    """waitress 3 sends one after HEAD, in which a client can have answers of its choice to the requests of others."""
    smuggled = reply(b"smuggled") * 3
    head = head.replace(b"%d", b"%d" % len(smuggled))

    def behave(request, connection):
        if request.get("X-Evil") is None:
            return reply(b"fine")
        # The body comes when the response is long over, where nobody takes it for a stray byte.
        connection.sendall(head)
        time.sleep(0.05)
        return smuggled

    upstream.behaviour = behave
    for _ in range(20):
        ask(daemon.port, method, "/api/listings", key, fields={"X-Evil": "1"})
        assert ask(daemon.port, "GET", "/api/listings", key).body == b"fine"


def test_a_head_without_a_body_keeps_its_connection(daemon, upstream, key):
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert [ask(daemon.port, "HEAD", "/api/listings", key).status for _ in range(3)] == [200] * 3
    assert connections_of(upstream) == [1, 1, 1]


@pytest.mark.parametrize("answer", CLOSED.values(), ids=CLOSED.keys())
def test_a_connection_is_closed_after(daemon, upstream, key, answer):
    # Only we close here, whatever the handler has said.
    closed = threading.Semaphore(0)

    def behave(_, connection: socket.socket) -> bytes | None:
        connection.sendall(answer)
        while connection.recv(4096):
            pass
        closed.release()
        return None

    upstream.behaviour = behave
    for _ in range(3):
        answered = ask(daemon.port, "GET", "/api/listings", key)
        assert (answered.status, answered.body) == (200, b"ok")
        assert closed.acquire(timeout=30)
    assert connections_of(upstream) == [1, 2, 3]


def test_a_response_that_ends_with_its_connection_is_whole_and_the_next_gets_another(daemon, upstream, key):
    def behave(_, connection: socket.socket):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    upstream.behaviour = behave
    for _ in range(2):
        answer = ask(daemon.port, "GET", "/api/listings", key)
        assert (answer.status, answer.body) == (200, b"all of it")
    assert connections_of(upstream) == [1, 2]


@pytest.mark.parametrize("goodbye", [b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"\r\n", b""])
def test_a_byte_or_the_end_on_an_idle_connection_closes_it(daemon, upstream, key, goodbye):
    turn = threading.Event()
    closed = threading.Event()

    def behave(_, connection: socket.socket) -> bytes | None:
        connection.sendall(reply(b"first"))
        assert turn.wait(30)
        connection.sendall(goodbye)
        if not goodbye:
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
        closed.set()
        return None

    upstream.behaviour = behave
    assert get(daemon, key) == 200
    turn.set()
    assert closed.wait(30)
    upstream.behaviour = lambda *_: reply(b"second")
    # It isn't taken for the answer to whoever comes next.
    answer = ask(daemon.port, "POST", "/api/listings", key, body=b"{}")
    assert (answer.status, answer.body) == (200, b"second")
    assert connections_of(upstream) == [1, 2]


# MARK: Which is taken


def test_the_connection_used_last_is_taken_first_and_the_others_grow_old(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=WIDE, upstream_settings={"idle_timeout": "3s"})
    turns = [threading.Event() for _ in range(3)]
    order = iter(turns)

    def wait(*_):
        assert next(order).wait(60)
        return reply(b"ok")

    upstream.behaviour = wait
    callers = [Connection(daemon.port) for _ in range(3)]
    for number, caller in enumerate(callers):
        caller.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        upstream.wait_for(number + 1)
    assert connections_of(upstream) == [1, 2, 3]
    # The second connection is free last.
    for number in (2, 0, 1):
        turns[number].set()
        assert callers[number].response().status == 200
    upstream.behaviour = lambda *_: reply(b"ok")
    # For longer than an idle connection is kept: one is in use all the time, the others close, and we close them.
    began = time.monotonic()
    while upstream.open > 1 or time.monotonic() - began < 4.5:
        assert get(daemon, key) == 200
        assert time.monotonic() - began < 40
        time.sleep(0.05)
    assert set(connections_of(upstream)[3:]) == {2}
    for caller in callers:
        caller.close()


def test_an_idle_connection_is_closed_in_time(launch, upstream, key):
    daemon = launch(upstream, loops=1, upstream_settings={"idle_timeout": "400ms"})
    began = time.monotonic()
    assert get(daemon, key) == 200
    until(lambda: upstream.open == 0, "the idle connection closing")
    assert time.monotonic() - began > 0.39
    assert get(daemon, key) == 200
    assert connections_of(upstream) == [1, 2]


def test_what_cannot_be_repeated_takes_only_a_connection_used_a_moment_ago(daemon, upstream, key):
    # One that is idle for longer may be about to be closed by the handler.
    def get_and_post() -> bool:
        began = time.monotonic()
        assert get(daemon, key) == 200
        assert post(daemon, key) == 200
        # A moment is a second, which a busy machine may take for the two.
        return time.monotonic() - began < 0.5

    until(get_and_post, "the two within a moment")
    time.sleep(1.1)
    assert get(daemon, key) == 200
    time.sleep(1.1)
    assert post(daemon, key) == 200
    got, posted, again, late = connections_of(upstream)[-4:]
    assert got == posted == again != late


# MARK: One retry


def hanging_up(upstream: Upstream, *, first: bytes = b""):
    """The handler reads a request on a connection that it has answered on before, says `first` and closes."""

    def behave(request, connection: socket.socket) -> bytes | None:
        before = [one for one in upstream.requests if one.connection == request.connection]
        if len(before) == 1:
            return reply(b"" if request.method == "HEAD" else b"ok")
        connection.sendall(first)
        return None

    upstream.behaviour = behave


def test_a_repeatable_request_without_a_body_is_sent_once_more(daemon, upstream, key):
    hanging_up(upstream)
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PUT"):
        upstream.requests.clear()
        target = "/files/a"
        assert ask(daemon.port, method, target, key).status == 200
        assert ask(daemon.port, method, target, key).status == 200
        one, two, three = connections_of(upstream)
        # The second attempt was on a fresh connection.
        assert one == two and three != two
        until(lambda: upstream.open == 1, "the dead one being gone")
        upstream.close_idle()
        until(lambda: upstream.open == 0, "the other one being gone")


def test_a_second_loss_is_the_end_of_it(daemon, upstream, key):
    assert get(daemon, key) == 200
    upstream.behaviour = lambda *_: None
    answer = ask(daemon.port, "GET", "/api/listings", key)
    assert answer.status == 502 and answer.json()["detail"] == "Upstream unreachable"
    assert connections_of(upstream) == [1, 1, 2]


@pytest.mark.parametrize("method,body", [("POST", b"{}"), ("POST", None), ("PATCH", b"{}"), ("PUT", b"{}"), ("MOVE", None)])
def test_what_may_have_had_an_effect_is_never_sent_twice(daemon, upstream, key, method, body):
    hanging_up(upstream)

    def is_at_once() -> bool:
        """On the connection used a moment ago, which on a busy machine it may not be."""
        upstream.close_idle()
        until(lambda: upstream.open == 0, "no connection being left")
        upstream.requests.clear()
        began = time.monotonic()
        assert ask(daemon.port, "GET", "/files/a", key).status == 200
        statuses.append(ask(daemon.port, method, "/files/a", key, body=body).status)
        return time.monotonic() - began < 0.5

    statuses: list[int] = []
    until(is_at_once, "the two within a moment")
    assert statuses[-1] == 502
    assert [request.method for request in upstream.requests] == ["GET", method]


@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_a_request_that_was_being_answered_is_never_sent_twice(daemon, upstream, key, first):
    hanging_up(upstream, first=first)
    assert get(daemon, key) == 200
    assert get(daemon, key) == 502
    assert connections_of(upstream) == [1, 1]


def test_a_request_on_a_fresh_connection_is_never_sent_twice(daemon, upstream, key):
    upstream.behaviour = lambda *_: None
    assert get(daemon, key) == 502
    assert connections_of(upstream) == [1]


# MARK: Waiting


def test_who_waits_gets_the_next_connection_in_turn_and_who_leaves_loses_the_turn(launch, upstream, key):
    daemon = launch(
        upstream,
        loops=1,
        policies=WIDE,
        upstream_settings={"max_connections": 1, "connect_timeout": "30s"},
        limits={"connections": 10},
    )
    # With room for one beside the one that is carried.
    turn = threading.Event()
    upstream.behaviour = lambda *_: turn.wait(60) and reply(b"ok")
    request = "GET /files/{} HTTP/1.1\r\nHost: h\r\nX-API-Key: {}\r\n\r\n"
    first, second, third = (Connection(daemon.port) for _ in range(3))

    def is_full() -> bool:
        return ask(daemon.port, "GET", "/files/x", key).status == 503

    first.send(request.format(1, key).encode())
    upstream.wait_for(1)
    second.send(request.format(2, key).encode())
    # What was sent before on a connection that is there is looked at before what comes on a new one.
    assert is_full()
    # A reset: whoever only closes the sending side still wants the answer.
    second.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    second.close()
    until(lambda: [line for line in daemon.lines() if line.get("reason") == "client_closed"], "its leaving")
    third.send(request.format(3, key).encode())
    assert is_full()
    turn.set()
    assert first.response().status == 200
    assert third.response().status == 200
    assert [one.target for one in upstream.requests] == ["/files/1", "/files/3"]
    assert upstream.accepted == 1
    first.close()
    third.close()
