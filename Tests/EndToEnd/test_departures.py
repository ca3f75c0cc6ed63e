# SPDX-License-Identifier: Apache-2.0
"""A handler leaves while its client is behind: what had come from it is the client's, and looks whole only if it is.

A handler that closes with something unread, or is spoken to afterwards, resets its connection. Whoever then writes to it
fails, and what was not read by then would be lost with it.
"""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from fixtures.departure import pour, reset, rest
from fixtures.wire import Connection, Truncated, until

TUNNEL = "\r\n".join([
    "GET /files/x HTTP/1.1", "Host: h", "X-API-Key: {key}", "Connection: Upgrade", "Upgrade: websocket",
    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
])  # fmt: skip
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
# Sent at once, since nobody knows whether a 100 will come.
UPLOAD = "\r\n".join([
    "POST /files/x HTTP/1.1", "Host: h", "X-API-Key: {key}", "Expect: 100-continue", "Transfer-Encoding: chunked", "", ""
])  # fmt: skip
CHUNK = b"3e8\r\n" + b"x" * 1000 + b"\r\n"
#: Its end is that of the connection.
ANSWER = b"HTTP/1.1 200 OK\r\n\r\n"


def speak(connection: Connection, octets: bytes):
    """The first is what it resets for, and the others are written to a connection that is no more."""
    # The client may hear of the end while it still speaks.
    with contextlib.suppress(ConnectionError):
        for _ in range(5):
            connection.send(octets)
            time.sleep(0.05)


@pytest.mark.parametrize("speaks", [False, True], ids=["reset", "closed, and spoken to"])
def test_what_came_through_a_tunnel_is_the_clients(tollgate, upstream, key, speaks):
    taken = [0]

    def leave(_, peer):
        peer.sendall(SWITCH)
        taken[0] = pour(peer)
        if not speaks:
            reset(peer)

    upstream.behaviour = leave
    with Connection(tollgate.port) as connection:
        connection.send(TUNNEL.format(key=key).encode())
        assert connection.head().status == 101
        until(lambda: upstream.open == 0, "the handler having left", 60)
        if speaks:
            speak(connection, b"x" * 1000)
        # What was under way when it was counted has arrived as well.
        assert len(rest(connection)) >= taken[0] > 0
    assert [line.get("reason") for line in tollgate.lines(2)] == [None, "upstream_truncated"]


@pytest.mark.parametrize("speaks", [False, True], ids=["reset", "closed, and spoken to"])
def test_a_body_up_to_the_end_of_its_connection_is_never_whole_by_a_reset(tollgate, upstream, key, speaks):
    taken = [0]

    def leave(_, peer):
        peer.sendall(ANSWER)
        taken[0] = pour(peer)
        if not speaks:
            reset(peer)
        raise OSError("it leaves")

    upstream.on_head = leave
    with Connection(tollgate.port) as connection:
        connection.send(UPLOAD.format(key=key).encode())
        assert connection.head()["Transfer-Encoding"] == "chunked"
        until(lambda: taken[0] > 0 and upstream.open == 0, "the handler having left", 60)
        if speaks:
            speak(connection, CHUNK)
        with pytest.raises(Truncated):
            while connection.chunk():
                pass
    assert tollgate.lines(1)[0]["reason"] == "upstream_truncated"


@pytest.mark.parametrize("first", ["client", "handler"])
def test_a_body_that_had_ended_is_whole_though_a_reset_follows(tollgate, upstream, key, first):
    """All is there when the proxy looks: the end, the reset, and more from the client, which may come before them."""
    turns = {name: threading.Event() for name in ("unread", "stopped", "spoken", "left")}

    def leave(_, peer):
        peer.sendall(ANSWER)
        # Something that it never reads is what it resets for.
        peer.recv(1, socket.MSG_PEEK)
        turns["unread"].set()
        assert turns["stopped" if first == "handler" else "spoken"].wait(30)
        peer.sendall(b"whole")
        peer.shutdown(socket.SHUT_WR)
        peer.close()
        turns["left"].set()
        raise OSError("it has left")

    upstream.on_head = leave
    with Connection(tollgate.port) as connection:
        connection.send(UPLOAD.format(key=key).encode())
        assert connection.head()["Transfer-Encoding"] == "chunked"
        connection.send(CHUNK)
        assert turns["unread"].wait(30)
        os.kill(tollgate.process.pid, signal.SIGSTOP)
        try:
            turns["stopped"].set()
            if first == "handler":
                assert turns["left"].wait(30)
            connection.send(CHUNK)
            turns["spoken"].set()
            assert turns["left"].wait(30)
        finally:
            os.kill(tollgate.process.pid, signal.SIGCONT)
        assert connection.chunk() == b"whole"
        assert connection.chunk() == b""
    assert "reason" not in tollgate.lines(1)[0]
