# SPDX-License-Identifier: Apache-2.0
"""A WebSocket is admitted like any request; then bytes pass both ways, and its end is the end of both sides.

Here are a library's clients and handlers, and what sockets do at the end; the rest are rows of `WebSocketTests`.
"""

import contextlib
import socket
import threading
import time

import pytest
from fixtures.departure import reset, rest, unsent
from fixtures.tunnel import PATH, SWITCH, tunnel
from fixtures.wire import until
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

MIB = 1 << 20


class Handler:
    """A WebSocket server of the library's: it echoes, and closes when it is told to."""

    def __init__(self):
        self.closed: list[tuple[int | None, str]] = []
        self.requests = []
        self.refuses = False
        self.server = serve(self.talk, "127.0.0.1", 0, process_request=self.judge, max_size=4 * MIB)
        self.url = f"http://127.0.0.1:{self.server.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def judge(self, connection, request):
        self.requests.append(request)
        return connection.respond(403, "not for you\n") if self.refuses else None

    def talk(self, connection):
        try:
            for message in connection:
                if message == "close":
                    connection.close(4002, "as told")
                elif message == "give":
                    connection.send(b"g" * MIB)
                else:
                    connection.send(message)
        except ConnectionClosedError:
            # Told below, as every end is.
            pass
        self.closed.append((connection.close_code, connection.close_reason))

    def close(self):
        self.server.shutdown()


@pytest.fixture
def handler():
    server = Handler()
    yield server
    server.close()


def open_socket(daemon, key: str, path: str = PATH, **options):
    fields = {"X-API-Key": key}
    return connect(
        f"ws://127.0.0.1:{daemon.port}{path}", additional_headers=fields, proxy=None, max_size=4 * MIB, **options
    )


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_every_size_pass_both_ways(launch, handler, key, compression):
    daemon = launch(handler.url)
    with open_socket(daemon, key, compression=compression) as client:
        assert client.response.headers["X-RateLimit-Remaining"] == "19"
        assert client.response.headers["X-Correlation-ID"]
        for size in (0, 1, 125, 126, 65535, 65536, MIB):
            text = "t" * size
            client.send(text)
            assert client.recv(timeout=30) == text
            octets = bytes(range(256)) * (size // 256)
            client.send(octets)
            assert client.recv(timeout=30) == octets
        client.send(["in ", "three ", "frames"])
        assert client.recv(timeout=30) == "in three frames"
        assert client.ping().wait(30)
        client.send("give")
        assert client.recv(timeout=30) == b"g" * MIB
    until(lambda: handler.closed, "the handler seeing the end")
    assert handler.closed == [(1000, "")]
    fields = handler.requests[0].headers
    assert fields["Upgrade"] == "websocket" and fields["Connection"] == "Upgrade"
    assert fields["X-Tollgate-Org"] == "acme" and fields["Via"] == "1.1 tollgate"
    assert "X-API-Key" not in fields


def test_close_codes_pass_both_ways(launch, handler, key):
    daemon = launch(handler.url)
    with open_socket(daemon, key) as client:
        client.close(4001, "enough")
    until(lambda: handler.closed, "the handler seeing the end")
    assert handler.closed == [(4001, "enough")]
    with open_socket(daemon, key) as client:
        client.send("close")
        with pytest.raises(ConnectionClosedError) as end:
            client.recv(timeout=30)
        assert (end.value.rcvd.code, end.value.rcvd.reason) == (4002, "as told")
    with open_socket(daemon, key) as client:
        # The whole of a last message arrives before the end does.
        client.send("give")
        client.send("close")
        assert client.recv(timeout=30) == b"g" * MIB
        with pytest.raises((ConnectionClosedError, ConnectionClosedOK)):
            client.recv(timeout=30)


def test_many_sockets_at_once(launch, handler, ctl):
    key = ctl.issue()["key"]
    daemon = launch(handler.url, policies=[{"name": "org", "per": "org", "limit": "1000/1s"}])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(open_socket(daemon, key)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(f"hello {number}")
        assert [client.recv(timeout=30) for client in clients] == [f"hello {number}" for number in range(50)]
    until(lambda: len(handler.closed) == 50, "the handler seeing all ends")
    assert handler.closed == [(1000, "")] * 50


def test_a_handler_that_declines_is_heard_and_the_connections_end(launch, handler, key):
    handler.refuses = True
    daemon = launch(handler.url)
    with pytest.raises(InvalidStatus) as refused, open_socket(daemon, key):
        pass
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not for you\n")


def mirror(_, peer):
    """A handler that switches, then sends back what comes until the end."""
    peer.sendall(SWITCH)
    while octets := peer.recv(65536):
        peer.sendall(octets)


# Ends.


def test_when_the_client_closes_the_handler_gets_the_rest_and_the_end(tollgate, upstream, key):
    got, ended = [], threading.Event()

    def collect(_, peer):
        peer.sendall(SWITCH)
        while octets := peer.recv(65536):
            got.append(octets)
        ended.set()

    upstream.behaviour = collect
    with tunnel(tollgate, key) as connection:
        last = bytes(range(256)) * 1024
        connection.send(last)
        connection.socket.shutdown(socket.SHUT_WR)
        assert ended.wait(30)
        assert b"".join(got) == last
        # FIN is departure: our side ends as well.
        assert connection.at_end()


def test_when_the_handler_closes_the_client_gets_the_rest_and_the_end(tollgate, upstream, key):
    last = bytes(range(256)) * 1024

    def talk(_, peer):
        peer.sendall(SWITCH + last)
        # What its own kernel has yet to send is lost to what the client says, and nobody else can help that.
        until(lambda: unsent(peer) == 0, "all of it being sent")

    upstream.behaviour = talk
    with tunnel(tollgate, key) as connection:
        until(lambda: upstream.open == 0, "the handler having closed")
        # What the client still says doesn't cost it what came.
        connection.send(b"x" * 1000)
        assert rest(connection) == last


def test_a_handlers_reset_takes_nothing_of_what_it_sent_before(tollgate, upstream, key):
    """A handler that closes with something unread resets, however politely it said goodbye before."""

    def talk(_, peer):
        peer.sendall(SWITCH)
        assert peer.recv(1) == b"x"
        peer.sendall(b"bye")
        until(lambda: unsent(peer) == 0, "all of it being sent")
        reset(peer)

    upstream.behaviour = talk
    with tunnel(tollgate, key) as connection:
        connection.send(b"x")
        until(lambda: upstream.open == 0, "the handler having left")
        assert rest(connection) == b"bye"
    assert [line.get("reason") for line in tollgate.lines(2)] == [None, "upstream_truncated"]


def test_when_the_client_is_gone_the_handler_hears_of_it(tollgate, upstream, key):
    ended = threading.Event()

    def listen(_, peer):
        peer.sendall(SWITCH)
        try:
            while peer.recv(65536):
                pass
        except OSError:
            pass
        ended.set()

    upstream.behaviour = listen
    connection = tunnel(tollgate, key)
    reset(connection.socket)
    connection.close()
    assert ended.wait(30)
    until(lambda: upstream.open == 0, "the handler's connection ending")


def stands_still(count: list[int]):
    before = [-1]

    def same():
        last, before[0] = before[0], count[0]
        time.sleep(0.1)
        return last == count[0]

    until(same, "the sender being held back", 30)


def test_a_handler_that_does_not_read_holds_the_client_back(tollgate, upstream, key):
    go, taken, size, sent = threading.Event(), [0], 32 * MIB, [0]

    def lazy(_, peer):
        peer.sendall(SWITCH)
        go.wait(30)
        while octets := peer.recv(MIB):
            taken[0] += len(octets)

    def pour(connection):
        while sent[0] < size:
            connection.socket.sendall(b"x" * 65536)
            sent[0] += 65536
        connection.socket.shutdown(socket.SHUT_WR)

    upstream.behaviour = lazy
    with tunnel(tollgate, key) as connection:
        connection.socket.settimeout(60)
        pouring = threading.Thread(target=pour, args=(connection,), daemon=True)
        pouring.start()
        stands_still(sent)
        assert sent[0] < 24 * MIB
        assert tollgate.resident() < 32 * MIB
        go.set()
        pouring.join(60)
        until(lambda: taken[0] == size, "everything arriving", 60)


def test_a_client_that_does_not_read_holds_the_handler_back(tollgate, upstream, key):
    size, sent = 32 * MIB, [0]

    def pour(_, peer):
        peer.settimeout(60)
        peer.sendall(SWITCH)
        while sent[0] < size:
            peer.sendall(b"x" * 65536)
            sent[0] += 65536

    upstream.behaviour = pour
    with tunnel(tollgate, key) as connection:
        stands_still(sent)
        assert sent[0] < 24 * MIB
        assert tollgate.resident() < 32 * MIB
        taken = len(connection.pending)
        while octets := connection.socket.recv(MIB):
            taken += len(octets)
        assert taken == size


def test_a_drain_gives_tunnels_their_time(launch, upstream, key):
    daemon = launch(upstream, drain={"timeout": "6s"})
    upstream.behaviour = mirror
    with tunnel(daemon, key) as connection:
        daemon.terminate()
        until(lambda: not daemon.listens(), "the listener closing")
        connection.send(b"not yet")
        assert connection.need(7) == b"not yet"
        assert connection.at_end()
    assert daemon.wait() == 0
