# SPDX-License-Identifier: Apache-2.0
"""Bytes leave as they arrive, and no faster than they are taken."""

import socket
import threading

import pytest
from fixtures.flow import handler_slows_caller, reader_slows_handler
from fixtures.wire import Closed, Connection, Truncated, request_bytes, until

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(octets), octets)


#: Of a body, what is here before a connection to the handler is taken for it.
GATHERED = b"x" * 16384
BEGINNING = chunk(GATHERED)


def open_stream(connection: Connection, key: str, target: str = "/mcp"):
    connection.send(
        f"GET {target} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\nX-API-Key: {key}\r\n\r\n".encode()
    )
    return connection.head()


def test_the_head_and_each_event_leave_as_they_arrive(tollgate, upstream, key):
    turns = [threading.Event() for _ in range(6)]

    def stream(_, socket):
        for number, turn in enumerate(turns):
            assert turn.wait(30)
            socket.sendall(SSE if number == 0 else chunk(b"data: %d\n\n" % number))
        return b"0\r\n\r\n"

    upstream.behaviour = stream
    with Connection(tollgate.port) as connection:
        # Nothing but what has already come makes the handler go on: one buffered octet and this waits for ever.
        turns[0].set()
        head = open_stream(connection, key)
        assert head.status == 200 and head["Content-Type"] == "text/event-stream"
        for number in range(1, 6):
            turns[number].set()
            assert connection.chunk() == b"data: %d\n\n" % number
        assert connection.chunk() == b""
        assert connection.request("GET", "/health").status == 200


def test_a_request_body_leaves_as_it_arrives(tollgate, upstream, key):
    seen = []
    heads = threading.Event()
    upstream.on_head = lambda request, _: heads.set()
    with Connection(tollgate.port) as connection:
        connection.send(
            f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            + BEGINNING
        )
        assert heads.wait(30)
        for number in range(5):
            connection.send(chunk(b"piece-%d" % number))
            until(lambda n=number: b"piece-%d" % n in upstream.received, f"piece {number} at the handler")
            seen.append(number)
        connection.send(b"0\r\n\r\n")
        assert connection.response("POST").status == 200
    assert upstream.last.body == GATHERED + b"".join(b"piece-%d" % n for n in range(5))


def test_a_chunked_body_may_be_cut_anywhere_and_goes_on(tollgate, upstream, key):
    """What comes with the data in one piece has been read when the data is at the handler; the rest is yet to come."""
    heads = threading.Event()
    upstream.on_head = lambda request, _: heads.set()
    middle, end = b"\r\n6;a=bc\r\n", b"\r\n0\r\nX-Sum: 42\r\n\r\n"
    for cut in range(1, len(end)):
        heads.clear()
        upstream.received = b""
        with Connection(tollgate.port) as connection:
            fields = {"X-API-Key": key, "Transfer-Encoding": "chunked"}
            connection.send(request_bytes("POST", "/files/x", fields) + BEGINNING)
            assert heads.wait(30)
            connection.send(b"5\r\nfirst" + middle[:cut])
            until(lambda: b"first" in upstream.received, f"the first chunk, cut {cut} behind it, at the handler")
            connection.send(middle[cut:] + b"second" + end[:cut])
            until(lambda: b"second" in upstream.received, f"the second chunk, cut {cut} behind it, at the handler")
            connection.send(end[cut:])
            assert connection.response("POST").status == 200
        assert upstream.last.body == GATHERED + b"firstsecond"


@pytest.mark.parametrize("loops", [1, 2])
def test_a_slow_reader_slows_the_handler_and_costs_no_memory(launch, upstream, key, loops):
    reader_slows_handler(launch(upstream, loops=loops), upstream, key, 64 << 20)


def test_a_slow_handler_slows_the_caller_and_costs_no_memory(launch, upstream, key):
    handler_slows_caller(launch(upstream, limits={"body_bytes": "1GiB"}), upstream, key)


def test_when_the_caller_leaves_a_stream_the_handler_is_left_at_once(tollgate, upstream, key):
    gone = threading.Event()

    def stream(_, socket):
        socket.sendall(SSE + chunk(b"data: 1\n\n"))
        # Not one octet flows from here on; only the end of the connection can wake this.
        if not socket.recv(1):
            gone.set()

    upstream.behaviour = stream
    connection = Connection(tollgate.port)
    open_stream(connection, key)
    assert connection.chunk() == b"data: 1\n\n"
    connection.close()
    assert gone.wait(30)


def test_a_handler_that_dies_in_mid_stream_does_not_look_like_a_clean_end(tollgate, upstream, key):
    def die(_, socket):
        socket.sendall(SSE + chunk(b"data: 1\n\n"))

    upstream.behaviour = die
    with Connection(tollgate.port) as connection:
        open_stream(connection, key)
        assert connection.chunk() == b"data: 1\n\n"
        with pytest.raises((Truncated, Closed, ConnectionResetError)):
            connection.chunk()


def test_a_handler_that_dies_in_a_counted_body_does_not_look_like_a_clean_end(tollgate, upstream, key):
    def die(_, socket):
        socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")

    upstream.behaviour = die
    with Connection(tollgate.port) as connection, pytest.raises(Truncated):
        connection.request("GET", "/api/listings", {"X-API-Key": key})


def test_who_closed_its_side_before_a_stream_began_has_left(tollgate, upstream, key):
    asked, may_begin, left = threading.Event(), threading.Event(), threading.Event()

    def stream(_, socket):
        asked.set()
        assert may_begin.wait(30)
        socket.sendall(SSE)
        if socket.recv(1) == b"":
            left.set()

    upstream.behaviour = stream
    with Connection(tollgate.port) as connection:
        # Without Accept, nobody knows that this will be a stream.
        connection.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        assert asked.wait(30)
        connection.socket.shutdown(socket.SHUT_WR)
        # What is asked on another connection of the same loop is answered behind the end of this one's input.
        for _ in range(8):
            with Connection(tollgate.port) as other:
                assert other.request("GET", "/nowhere").status == 404
        may_begin.set()
        assert left.wait(30)


def test_a_half_closed_caller_still_gets_its_answers(tollgate, upstream, key):
    turn = threading.Event()

    def later(*_):
        turn.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    upstream.behaviour = later
    with Connection(tollgate.port) as connection:
        request = f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode()
        connection.send(request * 3)
        connection.socket.shutdown(socket.SHUT_WR)
        upstream.wait_for(1)
        turn.set()
        assert [connection.response().get("Connection") for _ in range(3)] == [None, None, "close"]
        assert connection.at_end()


def test_an_early_answer_is_forwarded_before_the_body_ends(tollgate, upstream, key):
    def early(request, socket):
        socket.sendall(b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    upstream.on_head = early
    with Connection(tollgate.port) as connection:
        connection.send(
            f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nContent-Length: 100000\r\n\r\n".encode()
            + GATHERED
        )
        answer = connection.response("POST")
        assert (answer.status, answer.body) == (422, b"no")
        assert answer["Connection"] == "close"
