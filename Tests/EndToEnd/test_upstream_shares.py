# SPDX-License-Identifier: Apache-2.0
"""Connections to the handler are few: whoever has one owes something for it, and nobody has more than half of them."""

import contextlib
import threading
import time

import pytest
from fixtures.tunnel import SWITCH, UPGRADE
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, request_bytes, until
from test_answers import problem

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
GATHERED = 16 * 1024
STALL = 1
#: Each of another address, as a proxy that is trusted tells it.
GREEDY, GOOD = {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "198.51.100.7"}


@pytest.fixture
def open_door(launch, upstream):
    """A daemon with a route that anybody may use, and eight connections to the handler, which is waited for as long as
    `connect` says. Where it isn't the subject, `stall` is longer than a busy machine stands still."""

    def start(stall: int = STALL, connect: str = "500ms", **settings):
        return launch(
            upstream,
            loops=1,
            policies=WIDE,
            routes=[{"path": "/open", "public": True}, {"path": "/api/listings"}],
            upstream_settings={"max_connections": 8, "connect_timeout": connect},
            limits={"stall_timeout": f"{stall}s", "idle_timeout": "60s"},
            **settings,
        )

    return start


def good_clients_are_served(daemon, upstream, key, count: int = 10):
    for _ in range(count):
        assert ask(daemon.port, "POST", "/open", fields=GOOD, body=b"whole").status == 200
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200


# MARK: The beginning of a body


def test_bodies_that_drip_take_no_connection(open_door, upstream, key):
    daemon = open_door(stall=30)
    framings = [{"Content-Length": "100000"}, {"Transfer-Encoding": "chunked"}]
    drips = [Connection(daemon.port) for _ in range(40)]
    for number, connection in enumerate(drips):
        connection.send(request_bytes("POST", "/open", {**GREEDY, **framings[number % 2]}))
    for octet in (b"5\r\nhello\r\n", b"5\r\nthere\r\n"):
        for connection in drips:
            connection.send(octet)
        good_clients_are_served(daemon, upstream, key)
    assert upstream.accepted <= 2
    for connection in drips:
        connection.close()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_goes_on_when_its_beginning_is_here(open_door, upstream, framing):
    daemon = open_door(stall=30)
    heads = threading.Event()
    upstream.on_head = lambda *_: heads.set()
    half, rest = b"x" * (GATHERED // 2), b"y" * 1000
    fields = {"Content-Length": str(GATHERED + len(rest))} if framing == "length" else {"Transfer-Encoding": "chunked"}
    frame = (lambda octets: octets) if framing == "length" else (lambda octets: b"%x\r\n%s\r\n" % (len(octets), octets))
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/open", fields) + frame(half))
        assert not heads.wait(0.5)
        connection.send(frame(half))
        assert heads.wait(30)
        until(lambda: upstream.received.count(b"x") >= GATHERED, "the beginning at the handler")
        # From here on it leaves as it comes.
        connection.send(frame(rest[:500]))
        until(lambda: upstream.received.count(b"y") >= 500, "the next part at the handler")
        connection.send(frame(rest[500:]) + (b"" if framing == "length" else b"0\r\n\r\n"))
        assert connection.response("POST").status == 200
    assert upstream.last.body == half * 2 + rest


@pytest.mark.parametrize("size", [0, 1, GATHERED - 1, GATHERED, GATHERED + 1, 200_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_bodies_of_every_length_arrive_whole(open_door, upstream, framing, size):
    daemon = open_door(stall=30)
    body = bytes(number % 251 for number in range(size))
    with Connection(daemon.port) as connection:
        for _ in range(2):
            if framing == "length":
                assert connection.request("POST", "/open", {}, body).status == 200
            else:
                connection.send(request_bytes("POST", "/open", {"Transfer-Encoding": "chunked"}))
                for start in range(0, size, 7000):
                    connection.send(b"%x\r\n%s\r\n" % (len(body[start : start + 7000]), body[start : start + 7000]))
                connection.send(b"0\r\nX-Sum: 1\r\n\r\n")
                assert connection.response("POST").status == 200
            assert upstream.last.body == body
    # What was whole before it was sent is no early answer's: the connection is used again.
    assert upstream.accepted == 1 or size > GATHERED


def test_whoever_waits_for_a_100_is_sent_on_at_once(open_door, upstream):
    daemon = open_door(stall=30)
    upstream.on_head = lambda _, peer: peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/open", {"Expect": "100-continue", "Content-Length": "5"}))
        assert connection.head().status == 100
        connection.send(b"hello")
        assert connection.response("POST").status == 200
    assert upstream.last.body == b"hello"


@pytest.mark.parametrize(
    "fields", [{"Content-Length": "1000"}, {"Transfer-Encoding": "chunked"}], ids=["length", "chunked"]
)
def test_a_body_that_drips_gives_its_slot_back(launch, upstream, key, fields):
    """It owes its pace from admission on: a slot is held for it before a connection is."""
    daemon = launch(
        upstream,
        loops=1,
        policies=[{"name": "slots", "per": "global", "concurrency": 1}],
        routes=[{"path": "/api/listings"}],
        limits={"stall_timeout": f"{STALL}s", "idle_timeout": "60s"},
    )
    octet = b"x" if "Content-Length" in fields else b"1\r\nx\r\n"
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/api/listings", {"X-API-Key": key, **fields}))
        until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 429, "the slot being taken")
        began = time.monotonic()
        connection.socket.settimeout(0.1)
        while not connection.pending:
            connection.send(octet)
            with contextlib.suppress(TimeoutError):
                connection.more()
            assert time.monotonic() - began < 20
        answer = connection.response("POST")
        problem(answer, 408, "Request Timeout", "Request body not received in time")
        assert answer["Connection"] == "close"
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    late = until(lambda: [line for line in daemon.lines() if line.get("reason") == "request_timeout"], "its line")
    assert [line["status"] for line in late] == [408]
    assert {request.method for request in upstream.requests} == {"GET"}


# MARK: The rest of it


@pytest.mark.parametrize("beginning", [GATHERED, 0], ids=["16 KiB", "after a 100"])
def test_a_body_that_drips_later_is_408(open_door, upstream, beginning):
    daemon = open_door()
    fields = {"Content-Length": "1000000"} | ({} if beginning else {"Expect": "100-continue"})
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/open", fields) + b"x" * beginning)
        until(lambda: upstream.open == 1, "the handler being reached")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while upstream.open:
                # Never idle, but not a KiB a second either.
                connection.send(b"x" * 20)
                time.sleep(0.05)
                assert time.monotonic() - began < 20
        answer = connection.response("POST")
        assert (answer.status, answer["Connection"]) == (408, "close")
    assert daemon.lines(1)[-1]["reason"] == "request_timeout"
    assert upstream.requests == []


def test_a_body_that_keeps_its_pace_is_not(open_door, upstream):
    stall, count = 4, 70
    daemon = open_door(stall=stall)
    size = GATHERED + count * 2000
    began = time.monotonic()
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/open", {"Content-Length": str(size)}) + b"x" * GATHERED)
        for _ in range(count):
            time.sleep(0.08)
            connection.send(b"x" * 2000)
        assert time.monotonic() - began > stall
        assert connection.response("POST").status == 200
    assert len(upstream.last.body) == size


def test_a_slow_handler_is_not_the_clients_fault(open_door, upstream):
    daemon = open_door()
    go_on = threading.Event()
    upstream.on_head = lambda *_: go_on.wait(30)
    size = 8 << 20
    with Connection(daemon.port, timeout=30) as connection:
        sender = threading.Thread(
            target=lambda: connection.send(request_bytes("POST", "/open", {}, b"x" * size)), daemon=True
        )
        sender.start()
        time.sleep(4 * STALL)
        go_on.set()
        assert connection.response("POST").status == 200
        sender.join()
    assert len(upstream.last.body) == size


def test_a_stream_may_be_sent_to_as_slowly_as_one_likes(open_door, upstream):
    daemon = open_door()

    def stream(_, peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.sendall(b"9\r\ndata: 1\n\n\r\n")

    upstream.on_head = stream
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", "/open", {"Content-Length": "100000"}) + b"x" * GATHERED)
        assert connection.head().status == 200
        assert connection.chunk() == b"data: 1\n\n"
        time.sleep(3 * STALL)
        connection.send(b"x")
        assert upstream.open == 1


# MARK: Taking the answer


def pouring(media: str):
    """Answers with a MiB of a body that doesn't end."""

    def answer(_, peer):
        peer.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(256):
            peer.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        # Not the end of it.
        peer.settimeout(60)
        with contextlib.suppress(OSError):
            peer.recv(1)

    return answer


def test_a_reader_that_takes_nothing_is_cut_however_little_waits_for_it(open_door, upstream):
    """Less than the bytes at which the handler is slowed, and more than the kernel takes for it."""
    daemon = open_door()
    upstream.behaviour = pouring("text/plain")
    with Connection(daemon.port, receive_buffer=4096) as connection:
        began = time.monotonic()
        connection.send(request_bytes("GET", "/open"))
        until(lambda: upstream.accepted == 1, "the handler being reached")
        until(lambda: upstream.open == 0, "the handler being left", 20)
        assert time.monotonic() - began > STALL * 0.9
    assert daemon.lines(1)[-1]["reason"] == "client_stalled"


def test_a_stream_may_find_its_reader_asleep(open_door, upstream):
    daemon = open_door()
    upstream.behaviour = pouring("text/event-stream")
    with Connection(daemon.port, receive_buffer=4096) as connection:
        connection.send(request_bytes("GET", "/open"))
        assert connection.head().status == 200
        time.sleep(4 * STALL)
        assert upstream.open == 1


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize("stall", ["1s", "60s"])
@pytest.mark.parametrize("began, fields", [(EVENTS, {}), (SWITCH, UPGRADE)], ids=["events", "a socket"])
def test_a_stream_whose_reader_takes_nothing_is_cut_after_the_idle_timeout(launch, upstream, began, fields, stall):
    daemon = launch(
        upstream,
        loops=1,
        routes=[{"path": "/open", "public": True}],
        limits={"stall_timeout": stall, "idle_timeout": "3s"},
    )

    def pour(_, peer):
        peer.sendall(began)
        with contextlib.suppress(OSError):
            while True:
                peer.sendall(b"data: %s\n\n" % (b"x" * 4096))

    upstream.behaviour = pour
    with Connection(daemon.port, receive_buffer=4096) as connection:
        at = time.monotonic()
        connection.send(request_bytes("GET", "/open", fields))
        assert connection.head().status in (200, 101)
        until(lambda: upstream.open == 0, "the handler being left")
        assert time.monotonic() - at > 3 * 0.9
    assert daemon.lines(2)[-1]["reason"] == "client_stalled"


# MARK: Shares


@pytest.fixture
def hold(upstream):
    """Every request for `/hold…` is answered when the test says so."""
    go_on = threading.Event()

    def behave(request, _):
        if b"hold" in request.body:
            go_on.wait(30)
        return reply(b"ok")

    upstream.behaviour = behave
    yield go_on
    go_on.set()


@pytest.mark.parametrize("with_key", [False, True], ids=["an address", "a key"])
def test_one_caller_has_at_most_half(open_door, upstream, ctl, hold, with_key):
    daemon = open_door()
    good = ctl.issue("good")["key"]
    fields = {**GREEDY, **({"X-API-Key": ctl.issue("greedy")["key"]} if with_key else {})}
    request = request_bytes("POST", "/api/listings" if with_key else "/open", fields, b"hold")
    greedy = [Connection(daemon.port) for _ in range(12)]
    for connection in greedy:
        connection.send(request)
    until(lambda: len(upstream.requests) == 4, "half of the connections being taken")
    good_clients_are_served(daemon, upstream, good)
    # Four wait for their own, in vain; four were refused at once.
    for connection in greedy[4:]:
        answer = connection.response("POST")
        problem(answer, 503, "Service Unavailable", "Too many requests under way", type=answer.json()["type"])
        assert answer["Retry-After"] == "1"
    # Those, and what the good clients have asked.
    refused = [line for line in daemon.lines(8 + 20) if line["status"] == 503]
    assert [line["reason"] for line in refused] == ["upstream_share"] * 8
    assert sum(b"hold" in request.body for request in upstream.requests) == 4
    hold.set()
    assert [connection.response("POST").status for connection in greedy[:4]] == [200] * 4
    # It has it back.
    assert all(connection.request("POST", "/open", GREEDY, b"hold").status == 200 for connection in greedy[:4])


def test_what_waits_for_its_own_share_goes_on(open_door, upstream, hold):
    daemon = open_door(connect="30s")
    request = request_bytes("POST", "/open", GREEDY, b"hold")
    greedy = [Connection(daemon.port) for _ in range(8)]
    for connection in greedy:
        connection.send(request)
    until(lambda: len(upstream.requests) == 4, "half of the connections being taken")
    hold.set()
    assert [connection.response("POST").status for connection in greedy] == [200] * 8


def test_streams_are_nobodys_share(open_door, upstream):
    daemon = open_door()

    def stream(request, peer):
        if request.method == "POST":
            return reply(b"ok")
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        peer.settimeout(60)
        with contextlib.suppress(OSError):
            peer.recv(1)
        return None

    upstream.behaviour = stream
    streams = [Connection(daemon.port) for _ in range(12)]
    for connection in streams:
        connection.send(request_bytes("GET", "/open", {**GREEDY, "Accept": "text/event-stream"}))
        assert connection.head().status == 200
    assert ask(daemon.port, "POST", "/open", fields=GREEDY, body=b"x").status == 200
