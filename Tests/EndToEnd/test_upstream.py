# SPDX-License-Identifier: Apache-2.0
"""A silent, dead or absurd handler is 502 or 504, never a hang and never a crash."""

import threading
import time

import pytest
from fixtures.ports import free_port
from fixtures.upstream import reply
from fixtures.wire import Connection, Stopwatch, Truncated, ask, request_bytes, until
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


#: What is wrong with an answer, but says where it ends: the caller gets what is right of it.
EXCESSIVE = {
    "204 with a body": (b"HTTP/1.1 204 No Content\r\n\r\nhello", "GET", 204, b""),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "GET", 204, b""),
    "204 with chunks": (
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "GET",
        204,
        b"",
    ),
    "304 with a body": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "GET", 304, b""),
    "HEAD with a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HEAD", 200, b""),
    "HEAD with chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "HEAD", 200, b""),
    "more than its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", "GET", 200, b"hello"),
    "more than its chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nand more",
        "GET",
        200,
        b"hello",
    ),
    "two answers": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Of: another\r\n\r\nstray",
        "GET",
        200,
        b"one",
    ),
    "an answer and an interim one": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "GET",
        200,
        b"one",
    ),
    "an answer and a 408": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "GET",
        200,
        b"one",
    ),
    "the same length twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "GET",
        200,
        b"hello",
    ),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", "GET", 200, b"hello"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET", 200, b"hello"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\nhello", "GET", 200, b"hello"),
    "no length in HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", "GET", 200, b"hello"),
    "a hundred interim answers": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100
        + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "GET",
        200,
        b"hello",
    ),
    "100 that nobody waits for": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "GET",
        200,
        b"hello",
    ),
}


@pytest.mark.parametrize("octets, method, status, body", EXCESSIVE.values(), ids=EXCESSIVE.keys())
def test_what_is_wrong_behind_an_answer_reaches_nobody(launch, upstream, key, octets, method, status, body):
    daemon = launch(upstream, loops=1)
    closes = b"no length" if b"Length" not in octets and b"chunked" not in octets and status == 200 else b""

    def absurd(_, peer):
        peer.sendall(octets)
        return None if closes else b""

    upstream.behaviour = absurd
    with Connection(daemon.port) as connection:
        answer = connection.request(method, "/files/first", {"X-API-Key": key})
        assert (answer.status, answer.body) == (status, body)
        assert all(len(answer.all(name)) <= 1 for name in ("Content-Length", "Transfer-Encoding"))
        # The next answer is the next request's, and nobody else's.
        upstream.behaviour = lambda request, _: reply(request.target.encode(), fields={"X-Of": "this"})
        for number in range(3):
            answer = connection.request("GET", f"/files/{number}", {"X-API-Key": key})
            assert (answer.status, answer.body, answer.interim) == (200, b"/files/%d" % number, [])
            assert answer["X-Of"] == "this"
    assert [request.target for request in upstream.requests] == ["/files/first", *(f"/files/{n}" for n in range(3))]


#: Where it ends can't be told, and the answer has begun: it must not look whole.
CUT_SHORT = {
    "a chunk of junk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\nmore\r\n0\r\n\r\n",
    "a chunk that is longer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n2\r\nlong\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nfffffffffffffffff\r\n",
    "a chunk line of LF": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\n\n",
    "a truncated chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nff\r\nonly so much",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "no end of the trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX-A: 1\r\n",
    "a length in the trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"4\r\nhalf\r\n0\r\nContent-Length: 9\r\n\r\n",
    "less than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
}


@pytest.mark.parametrize("octets", CUT_SHORT.values(), ids=CUT_SHORT.keys())
def test_an_answer_that_goes_wrong_does_not_look_whole(tollgate, upstream, key, octets):
    upstream.behaviour = lambda _, peer: peer.sendall(octets)
    with Connection(tollgate.port) as connection:
        with pytest.raises(Truncated) as cut:
            connection.request("POST", "/api/listings", {"X-API-Key": key}, b"{}")
        assert b"0\r\n\r\n" not in cut.value.read
    upstream.behaviour = lambda *_: reply(b"fine")
    assert ask(tollgate.port, "POST", "/api/listings", key, body=b"{}").body == b"fine"
    assert [request.connection for request in upstream.requests] == [1, 2]


@pytest.mark.parametrize("fields", [300, 100_000])
def test_more_fields_than_anybody_needs_are_502(tollgate, upstream, key, fields):
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * fields + b"Content-Length: 0\r\n\r\n"
    with Connection(tollgate.port) as connection:
        answer = connection.request("GET", "/api/listings", {"X-API-Key": key})
        problem(answer, 502, "Bad Gateway", "Upstream sent an invalid response")
        upstream.behaviour = lambda *_: reply(b"fine")
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).body == b"fine"
    assert tollgate.resident() < 32 << 20


def test_what_a_handler_says_unasked_is_no_answer(launch, upstream, key):
    daemon = launch(upstream, loops=1)
    peers = []
    upstream.on_head = lambda _, peer: peers.append(peer)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    # The connection is idle now; what comes on it answers nothing.
    peers[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    until(lambda: upstream.open == 0, "the connection being closed")
    upstream.behaviour = lambda *_: reply(b"asked for")
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"asked for"


def test_trailers_pass_both_ways_but_for_those_that_mean_something_here(tollgate, upstream, key):
    upstream.behaviour = lambda *_: (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"2\r\nhi\r\n0\r\nX-Sum: 99\r\nX-RateLimit-Remaining: 7\r\n\r\n"
    )
    with Connection(tollgate.port) as connection:
        connection.send(
            request_bytes("POST", "/api/listings", {"X-API-Key": key, "Transfer-Encoding": "chunked"})
            + b"2\r\nhi\r\n0\r\nX-Sum: 42\r\nX-Tollgate-Org: other\r\nX_Tollgate_Org: other\r\nX-API-Key: k\r\n\r\n"
        )
        assert connection.head()["Trailer"] == "X-Sum"
        assert [connection.line() for _ in range(5)] == [b"2", b"hi", b"0", b"X-Sum: 99", b""]
    assert upstream.received.endswith(b"\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")


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
    upstream.behaviour = lambda *_: release.wait(60) and None
    began, watch = time.monotonic(), Stopwatch()
    answer = ask(daemon.port, "GET", "/api/listings", key)
    took, promised = time.monotonic() - began, watch.took()
    release.set()
    problem(answer, 504, "Gateway Timeout", "Upstream too slow")
    assert took > 0.25 and promised < 1


def test_a_slow_stream_is_not_a_slow_answer(launch, upstream, key):
    daemon = launch(upstream, upstream_settings={"response_timeout": "2s"})

    def slow(_, socket):
        socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
        for octet in b"abc":
            time.sleep(0.8)
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


def test_more_requests_than_connections_wait_their_turn_and_no_longer(launch, upstream, ctl):
    daemon = launch(
        upstream,
        loops=1,
        policies=[{"name": "org", "per": "org", "limit": "1000/1s"}],
        upstream_settings={"max_connections": 2, "connect_timeout": "300ms"},
    )
    # Of one caller half of them would be the most.
    keys = [ctl.issue(f"org{number}")["key"] for number in range(5)]
    release = threading.Event()

    def later(*_):
        release.wait(60)
        return reply(b"late")

    upstream.behaviour = later
    connections = [Connection(daemon.port) for _ in range(5)]
    for connection, key in zip(connections, keys, strict=True):
        connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
    upstream.wait_for(2)
    # As many as there are connections may wait; the one beyond that is refused at once, those that waited in vain after
    # connect_timeout.
    until(lambda: sum(connection.is_readable() for connection in connections) >= 3, "three being refused")
    refused = [connection for connection in connections if connection.is_readable()]
    answers = [connection.response() for connection in refused]
    assert [answer.status for answer in answers] == [503] * 3
    assert all(answer["Retry-After"] == "1" for answer in answers)
    release.set()
    late = [connection.response().body for connection in connections if connection not in refused]
    assert late == [b"late", b"late"]
    assert upstream.accepted == 2
    for connection in connections:
        connection.close()
