# SPDX-License-Identifier: Apache-2.0
"""Callers and handlers out for trouble: nobody gets past the sidecar, holds it up, or is given another's answer.

Whatever takes neither Redis nor a socket are rows of `SmugglingTests`.
"""

import os
import socket
import struct
import subprocess
import threading
import time

import pytest
from fixtures.redis_relay import RedisRelay
from fixtures.upstream import reply
from fixtures.wire import Connection, Truncated, ask, request_bytes, until

#: Limits that no test here reaches.
WIDE = [{"name": name, "per": name, "limit": "1000000/1s"} for name in ("address", "org")]


def descriptors(daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


def settled_descriptors(daemon) -> int:
    """How many it has when those who looked whether it listens have left."""
    seen: list[int] = []

    def is_settled():
        seen.append(descriptors(daemon))
        return len(set(seen[-20:])) == 1 and len(seen) >= 20

    until(is_settled, "the same descriptors for a while", pause=0.02)
    return seen[-1]


# A handler's connection is used again only where nothing of one request can be taken for the next.


def test_a_handler_that_answered_early_gets_no_other_request_on_that_connection(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=WIDE)

    def early(request, connection):
        if request.method == "POST":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")

    upstream.on_head = early
    upstream.behaviour = lambda request, _: b"cd" if request.method == "POST" else reply(b"ok")
    with Connection(daemon.port) as connection:
        # Of a shorter body all would be here before the handler is reached.
        connection.send(request_bytes("POST", "/api/listings", {"X-API-Key": key, "Content-Length": "20000"}))
        connection.send(b"x" * 19998)
        assert connection.head()["Connection"] == "close"
        # The request ends before its answer does: both look complete.
        connection.send(b"34")
        assert connection.need(4) == b"abcd"
        assert connection.at_end()
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    assert [request.connection for request in upstream.requests] == [1, 2]


def test_a_body_that_the_handler_may_not_read_is_the_last_thing_it_gets(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=WIDE)
    hidden = b"GET /api/listings/1 HTTP/1.1\r\nHost: h\r\nX-Tollgate-Org: victim\r\n\r\n"
    head = f"GET /files/x HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nContent-Length: {len(hidden)}\r\n\r\n".encode()
    with Connection(daemon.port) as connection:
        connection.send(head + hidden)
        assert connection.response().status == 200
        assert upstream.last.get("Connection") == "close"
        assert connection.request("GET", "/files/y", {"X-API-Key": key}).status == 200
    assert [request.connection for request in upstream.requests] == [1, 2]
    assert upstream.last.get("Connection") is None


def test_a_reset_is_not_the_end_of_a_body_without_a_length(tollgate, upstream, key):
    def break_off(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        seen.wait(30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    seen = threading.Event()
    upstream.behaviour = break_off
    with Connection(tollgate.port) as connection:
        connection.send(request_bytes("GET", "/files/x", {"X-API-Key": key}))
        assert connection.head()["Transfer-Encoding"] == "chunked"
        assert connection.chunk() == b"half"
        seen.set()
        with pytest.raises(Truncated):
            connection.chunk()


# Nobody holds a connection for ever by doing nothing.


@pytest.mark.parametrize("keeps", ["keep-alive", "close"])
@pytest.mark.parametrize("size", [8 << 20, 64 << 20], ids=["answered", "under way"])
def test_a_caller_that_takes_nothing_is_let_go(launch, upstream, key, keeps, size):
    daemon = launch(upstream, loops=1, policies=WIDE, limits={"idle_timeout": "500ms"})

    def pour(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            connection.sendall(b"x" * 65536)
        return b""

    upstream.behaviour = pour
    before = settled_descriptors(daemon)
    with Connection(daemon.port, receive_buffer=4096) as connection:
        connection.send(request_bytes("GET", "/files/x", {"X-API-Key": key, "Connection": keeps}))
        line = daemon.lines(1)[-1]
        assert (line["path"], line["status"], line["reason"]) == ("/files/x", 200, "client_stalled")
        until(lambda: descriptors(daemon) <= before, "both connections being given back")
    until(lambda: upstream.open == 0, "the handler being left")


def test_a_caller_that_takes_a_little_at_a_time_is_not(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=WIDE, limits={"idle_timeout": "3s"})
    size = 16 << 20

    def pour(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            connection.sendall(b"x" * 65536)
        return b""

    upstream.behaviour = pour
    with Connection(daemon.port, receive_buffer=65536) as connection:
        connection.send(request_bytes("GET", "/files/x", {"X-API-Key": key}))
        assert int(connection.head()["Content-Length"]) == size
        began, taken = time.monotonic(), len(connection.pending)
        while taken < size:
            octets = connection.socket.recv(1 << 20)
            assert octets, f"cut off after {taken}"
            taken += len(octets)
            # Slow enough that the sidecar always has more than it may write.
            if time.monotonic() - began < 7:
                time.sleep(0.1)
    assert taken == size


def test_a_caller_that_has_left_before_the_handler_was_reached_takes_no_place_with_it(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=WIDE, upstream_settings={"max_connections": 2, "connect_timeout": "1s"})
    for _ in range(6):
        with Connection(daemon.port) as connection:
            # Both the beginning of a body and the end of the connection are there before there is a decision.
            connection.send(request_bytes("POST", "/files/x", {"X-API-Key": key, "Content-Length": "10"}) + b"half")
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.at_end()
    assert upstream.requests == []
    assert [ask(daemon.port, "POST", "/files/x", key, body=b"whole").status for _ in range(3)] == [200] * 3


def test_a_client_is_asked_whether_it_is_still_there(tollgate):
    def timers() -> str:
        """Of the sidecar's end of the connection, as the kernel has them."""
        command = ["ss", "-tnoH", "state", "established", "sport", "=", f":{tollgate.port}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with Connection(tollgate.port) as connection:
        assert connection.request("GET", "/health").status == 200
        until(lambda: "timer:(keepalive," in timers(), "the timer")


# Guessing costs, whatever comes with the guess.


def test_a_wrong_key_pays_for_its_guess_even_with_a_body_too_large(launch, upstream, key):
    daemon = launch(
        upstream,
        limits={"body_bytes": "1KiB"},
        policies=[
            {"name": "address", "per": "address", "limit": "3/1h"},
            {"name": "org", "per": "org", "limit": "5/1h"},
        ],
    )

    def guess(guessed: str):
        with Connection(daemon.port) as connection:
            connection.send(request_bytes("POST", "/api/listings", {"X-API-Key": guessed, "Content-Length": "2000"}))
            return connection.response("POST")

    for left in (2, 1, 0):
        answer = guess(f"mcp_wrong{left}")
        assert (answer.status, answer.limits()) == (401, (3, left))
    assert guess("mcp_wrong").status == 429
    # A good key brings a body that is too large for nothing, and the address doesn't matter to it.
    for _ in range(2):
        answer = guess(key)
        assert (answer.status, answer.limits()) == (413, (5, 5))
    assert upstream.requests == []


# Small numbers work.


def test_one_connection_each_way_serves_all_loops(launch, upstream, key):
    daemon = launch(
        upstream, loops=2, policies=WIDE, limits={"connections": 1}, upstream_settings={"max_connections": 1}
    )
    # The one place is free when the loop that had it has seen the end of its client, which may come behind the next client.
    for _ in range(6):
        until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 200, "the place of who has left")


# Numbers are looked at before they are counted with, even those of Redis.

NOW = b":1795419504000000\r\n"
MOST = b":9223372036854775807\r\n"


@pytest.mark.parametrize(
    "junk", [b"*3\r\n" + MOST + b":1\r\n:0\r\n", b"*3\r\n" + NOW + b":1\r\n" + MOST], ids=["late", "overfull"]
)
def test_an_impossible_answer_of_redis_is_503(launch, upstream, key, redis, folder, junk):
    relay = RedisRelay(folder / "relay.sock", redis.path)
    daemon = launch(upstream, loops=1, redis_url=relay.url, policies=WIDE)
    with Connection(daemon.port) as connection:
        for target, fields in (("/api/listings", {"X-API-Key": key}), ("/open", {})):
            assert connection.request("GET", target, fields).status == 200
            relay.spoil(junk, hangs_up=False)
            assert connection.request("GET", target, fields).status == 503
            answer = connection.request("GET", target, fields)
            assert (answer.status, answer.limits()[0]) == (200, 1000000)
    relay.close()


# Memory is what is under way, not what once was.


def test_an_idle_connection_keeps_nothing_of_a_long_request(launch, upstream, key):
    # The log would hold lines of that length for a while.
    daemon = launch(upstream, loops=1, policies=WIDE, log={"level": "info", "access": "off"})

    def each(path: str, count: int = 200) -> float:
        before = daemon.resident()
        connections = [Connection(daemon.port) for _ in range(count)]
        for connection in connections:
            assert connection.request("GET", path, {"X-API-Key": key}).status == 200
        grown = daemon.resident() - before
        for connection in connections:
            connection.close()
        return grown / count

    # What is left is the buffer that the channel itself keeps for its next read.
    assert each("/files/" + "x" * 30000) < 40 * 1024
