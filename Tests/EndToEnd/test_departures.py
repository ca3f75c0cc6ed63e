# SPDX-License-Identifier: Apache-2.0
"""A handler leaves while its client is behind: what had come from it is the client's, and looks whole only if it is. A client
leaves a tunnel while its handler is behind: what had come from it is the handler's.

Who closes with something unread, or is spoken to afterwards, resets its connection. Whoever then writes to it fails, and
what was not read by then would be lost with it.
"""

import contextlib
import select
import socket
import threading
import time

import pytest
from fixtures.departure import SPOKEN, UPLOAD, Departure, Laggard, pour, reset, rest, saying, stopped
from fixtures.tunnel import SWITCH, tunnel
from fixtures.upstream import Upstream
from fixtures.wire import Connection, Truncated, until

#: Its end is that of the connection.
ANSWER = b"HTTP/1.1 200 OK\r\n\r\n"


def chunks(connection: Connection) -> bytes:
    octets = b""
    while chunk := connection.chunk():
        octets += chunk
    return octets


def test_a_reset_takes_nothing_of_what_came_through_a_tunnel(tollgate, upstream, key):
    taken = [0]

    def leave(_, peer):
        taken[0] = saying(SWITCH, None)(peer)
        reset(peer)

    upstream.behaviour = leave
    with tunnel(tollgate, key) as connection:
        until(lambda: upstream.open == 0, "the handler having left", 60)
        # What was under way when it was counted has arrived as well.
        assert len(rest(connection)) >= taken[0] > 0
    assert [line.get("reason") for line in tollgate.lines(2)] == [None, "upstream_truncated"]


def test_nor_does_a_write_that_meets_the_reset_first(tollgate, upstream, key):
    leave = upstream.behaviour = Departure(saying(SWITCH, None))
    with tunnel(tollgate, key) as connection:
        leave.watch(tollgate, connection)
        assert len(rest(connection)) >= leave.taken > 0
    assert [line.get("reason") for line in tollgate.lines(2)] == [None, "upstream_truncated"]


def test_what_is_left_of_a_tunnel_has_the_time_of_everybody(launch, upstream, key):
    """The client had slept longer over it than one may over anything else."""
    daemon = launch(upstream, limits={"stall_timeout": "6s", "idle_timeout": "1h"})
    taken = [0]

    def leave(_, peer):
        taken[0] = saying(SWITCH, None)(peer)
        assert slept.wait(60)
        reset(peer)

    slept = threading.Event()
    upstream.behaviour = leave
    with tunnel(daemon, key) as connection:
        until(lambda: taken[0], "the handler being held back", 60)
        time.sleep(8)
        slept.set()
        until(lambda: upstream.open == 0, "the handler having left")
        time.sleep(1)
        assert len(rest(connection)) >= taken[0] > 0


def test_who_takes_nothing_of_what_is_left_is_let_go(launch, upstream, key):
    daemon = launch(upstream, limits={"stall_timeout": "1s", "idle_timeout": "1h"})

    def leave(_, peer):
        saying(SWITCH, None)(peer)
        reset(peer)

    upstream.behaviour = leave
    with tunnel(daemon, key, receive_buffer=4096) as connection:
        # It isn't asked for anything, and hears of the reset all the same.
        watch = select.poll()
        watch.register(connection.socket, 0)
        assert watch.poll(60_000)
        with pytest.raises(ConnectionResetError):
            rest(connection)


@pytest.mark.parametrize("meets", ["the reader", "a write"])
def test_a_body_up_to_the_end_of_its_connection_is_never_whole_by_a_reset(tollgate, upstream, key, meets):
    leave = upstream.on_head = Departure(saying(ANSWER, b"a part" * 100))
    with Connection(tollgate.port) as connection:
        connection.send(UPLOAD.format(key=key).encode())
        assert connection.head()["Transfer-Encoding"] == "chunked"
        if meets == "a write":
            leave.watch(tollgate, connection)
        else:
            connection.send(SPOKEN)
            leave.spoken.set()
        with pytest.raises(Truncated):
            chunks(connection)
    assert tollgate.lines(1)[0]["reason"] == "upstream_truncated"


def test_a_body_that_had_ended_is_whole_though_a_reset_follows(tollgate, upstream, key):
    leave = upstream.on_head = Departure(
        saying(ANSWER, b"whole" * 100), farewell=lambda peer: peer.shutdown(socket.SHUT_WR)
    )
    with Connection(tollgate.port) as connection:
        connection.send(UPLOAD.format(key=key).encode())
        assert connection.head()["Transfer-Encoding"] == "chunked"
        leave.watch(tollgate, connection)
        assert chunks(connection) == b"whole" * 100
    assert "reason" not in tollgate.lines(1)[0]


@pytest.mark.parametrize("way", [None, socket.SHUT_RD], ids=["with something unread", "deaf before"])
def test_by_a_unix_socket_a_write_that_fails_is_no_end(launch, tmp_path, key, way):
    """There EPIPE says nothing of an end: it is told of whoever reads no more."""
    upstream = Upstream(path=str(tmp_path / "handler"))
    daemon = launch(upstream)
    leave = upstream.on_head = Departure(
        saying(ANSWER, b"a part"), farewell=lambda peer: way is not None and peer.shutdown(way)
    )
    with contextlib.closing(upstream), Connection(daemon.port) as connection:
        connection.send(UPLOAD.format(key=key).encode())
        assert connection.head()["Transfer-Encoding"] == "chunked"
        leave.watch(daemon, connection)
        with pytest.raises(Truncated):
            chunks(connection)
    assert daemon.lines(1)[0]["reason"] == "upstream_truncated"


# A tunnel's client.


def leave(connection: Connection, way: str):
    """Resets it; says an end; or says one, and resets whatever comes."""
    if way == "resets":
        reset(connection.socket)
    if way == "ends its side":
        connection.socket.shutdown(socket.SHUT_WR)
    else:
        connection.close()


@pytest.mark.parametrize("way", ["resets", "ends its side", "closes"])
@pytest.mark.parametrize("speaks", [False, True], ids=["to a silent handler", "to one that speaks"])
def test_a_slow_handler_gets_what_came_from_a_client_that_left(launch, upstream, key, way, speaks):
    daemon = launch(upstream, limits={"stall_timeout": "20s"})
    handler = upstream.behaviour = Laggard(speaks)
    with tunnel(daemon, key) as connection:
        taken = pour(connection.socket)
        leave(connection, way)
        if way == "resets":
            # What it says afterwards goes nowhere, and costs nobody anything.
            daemon.lines(2)
        time.sleep(1.5)
        handler.go.set()
        assert handler.ended.wait(60)
    assert handler.problem is None
    assert handler.got >= taken > 0
    reasons = {"resets": "client_closed", "ends its side": None, "closes": "client_closed" if speaks else None}
    assert [line.get("reason") for line in daemon.lines(2)] == [None, reasons[way]]


def test_nor_is_any_of_it_lost_to_a_write_that_meets_the_reset_first(launch, upstream, key):
    daemon = launch(upstream, limits={"stall_timeout": "20s"})
    handler = upstream.behaviour = Laggard(False)
    with tunnel(daemon, key) as connection:
        taken = pour(connection.socket)
        with stopped(daemon):
            handler.say(b"x" * 100)
            reset(connection.socket)
            connection.close()
        daemon.lines(2)
        handler.go.set()
        assert handler.ended.wait(60)
    assert handler.problem is None
    assert handler.got >= taken > 0
    assert [line.get("reason") for line in daemon.lines(2)] == [None, "client_closed"]


def test_a_handler_that_takes_nothing_of_it_is_let_go(launch, upstream, key):
    daemon = launch(upstream, limits={"stall_timeout": "1s", "idle_timeout": "1s"})
    handler = upstream.behaviour = Laggard(False)
    with tunnel(daemon, key) as connection:
        pour(connection.socket)
        before = daemon.descriptors()
        leave(connection, "resets")
        until(lambda: daemon.descriptors() <= before - 2, "the handler's connection being closed")
        handler.go.set()
        assert handler.ended.wait(60)


def test_a_client_that_speaks_on_loses_nothing_of_what_its_handler_said(tollgate, upstream, key):
    """More than a connection that ends is read: the client is behind, and has said it before it hears of the end."""
    said = [0]

    def talk(_, peer):
        said[0] = saying(SWITCH, None)(peer)
        peer.settimeout(60)
        peer.shutdown(socket.SHUT_WR)
        ended.set()
        while peer.recv(65536):
            pass

    ended = threading.Event()
    upstream.behaviour = talk
    with tunnel(tollgate, key) as connection:
        assert ended.wait(60)
        connection.send(b"x" * (1 << 20))
        assert len(rest(connection)) >= said[0] > 0
