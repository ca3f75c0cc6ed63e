# SPDX-License-Identifier: Apache-2.0
"""A silent, dead or absurd handler is 502 or 504, never a hang and never a crash."""

import threading
import time

import pytest
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, free_port
from test_answers import problem

ABSURD = {
    "not http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "binary": bytes(range(256)),
    "http 0.9": b"<html>hello</html>\r\n\r\n",
    "bad version": b"HTTP/3.7 200 OK\r\n\r\n",
    "bad status": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "status 099": b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and coding": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "space in name": b"HTTP/1.1 200 OK\r\nBad Name: 1\r\nContent-Length: 0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "bare cr": b"HTTP/1.1 200 OK\r\nX-A: 1\r2\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "an unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 70000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("octets", ABSURD.values(), ids=ABSURD.keys())
def test_an_absurd_answer_is_502_and_its_connection_is_not_used_again(tollgate, upstream, key, octets):
    def absurd(_, socket):
        socket.sendall(octets)

    upstream.behaviour = absurd
    with Connection(tollgate.port) as connection:
        answer = connection.request("POST", "/api/listings", {"X-API-Key": key}, b"{}")
        problem(answer, 502, "Bad Gateway", answer.json()["detail"])
        assert answer.json()["detail"] in ("Upstream sent an invalid response", "Upstream unreachable")
        assert answer.limits() == (20, 19)
        upstream.behaviour = lambda *_: reply(b"fine")
        assert connection.request("POST", "/api/listings", {"X-API-Key": key}, b"{}").body == b"fine"
    # A request with an effect was sent once and never again.
    assert len(upstream.requests) == 2
    assert upstream.accepted == 2


def test_nobody_listening_is_502(launch, key):
    daemon = launch(f"http://127.0.0.1:{free_port()}")
    answer = ask(daemon.port, "GET", "/api/listings", key)
    problem(answer, 502, "Bad Gateway", "Upstream unreachable")


def test_a_handler_that_hangs_up_without_a_word_is_502(tollgate, upstream, key):
    upstream.behaviour = lambda *_: None
    answer = ask(tollgate.port, "POST", "/api/listings", key, body=b"{}")
    assert answer.status == 502
    assert len(upstream.requests) == 1


def test_a_silent_handler_is_504_in_time(launch, upstream, key):
    daemon = launch(upstream, upstream_settings={"response_timeout": "300ms"})
    release = threading.Event()
    upstream.behaviour = lambda *_: release.wait(10) and None
    began = time.monotonic()
    answer = ask(daemon.port, "GET", "/api/listings", key)
    took = time.monotonic() - began
    release.set()
    problem(answer, 504, "Gateway Timeout", "Upstream too slow")
    assert 0.25 < took < 1


def test_a_slow_stream_is_not_a_slow_answer(launch, upstream, key):
    daemon = launch(upstream, upstream_settings={"response_timeout": "200ms"})

    def slow(_, socket):
        socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        for octet in b"abc":
            time.sleep(0.15)
            socket.sendall(bytes([octet]))
        return b""

    upstream.behaviour = slow
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"abc"


def test_a_connection_that_the_handler_closed_while_idle_is_not_a_502(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=[{"name": "org", "per": "org", "limit": "1000/1s"}])
    with Connection(daemon.port) as connection:
        for _ in range(20):
            assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
            upstream.close_idle()
    assert len(upstream.requests) == 20


def test_more_requests_than_connections_wait_their_turn_and_no_longer(launch, upstream, key):
    daemon = launch(
        upstream,
        loops=1,
        policies=[{"name": "org", "per": "org", "limit": "1000/1s"}],
        upstream_settings={"max_connections": 2, "connect_timeout": "300ms"},
    )
    release = threading.Event()

    def later(*_):
        release.wait(10)
        return reply(b"late")

    upstream.behaviour = later
    connections = [Connection(daemon.port) for _ in range(5)]
    request = f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode()
    for connection in connections:
        connection.send(request)
    upstream.wait_for(2)
    # As many as there are connections may wait; the one beyond that is refused at once, those that waited in vain after
    # connect_timeout.
    answers = []
    for connection in connections:
        connection.socket.settimeout(0.8)
        try:
            answers.append(connection.response())
        except TimeoutError:
            continue
    assert [answer.status for answer in answers] == [503] * 3
    assert all(answer["Retry-After"] == "1" for answer in answers)
    release.set()
    late = []
    for connection in connections:
        connection.socket.settimeout(0.8)
        try:
            late.append(connection.response().body)
        except TimeoutError:
            continue
    assert late == [b"late", b"late"]
    assert upstream.accepted == 2
    for connection in connections:
        connection.close()
