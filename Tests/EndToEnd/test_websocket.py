# SPDX-License-Identifier: Apache-2.0
"""A WebSocket is admitted like any request; then bytes pass both ways, and its end is the end of both sides."""

import contextlib
import socket
import struct
import threading
import time

import pytest
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, until
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

MIB = 1 << 20
PATH = "/files/socket"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


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


def open_socket(daemon, key: str | None, path: str = PATH, **options):
    fields = {"X-API-Key": key} if key else {}
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
            assert client.recv(timeout=10) == text
            octets = bytes(range(256)) * (size // 256)
            client.send(octets)
            assert client.recv(timeout=10) == octets
        client.send(["in ", "three ", "frames"])
        assert client.recv(timeout=10) == "in three frames"
        assert client.ping().wait(10)
        client.send("give")
        assert client.recv(timeout=10) == b"g" * MIB
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
            client.recv(timeout=10)
        assert (end.value.rcvd.code, end.value.rcvd.reason) == (4002, "as told")
    with open_socket(daemon, key) as client:
        # The whole of a last message arrives before the end does.
        client.send("give")
        client.send("close")
        assert client.recv(timeout=10) == b"g" * MIB
        with pytest.raises((ConnectionClosedError, ConnectionClosedOK)):
            client.recv(timeout=10)


def test_many_sockets_at_once(launch, handler, ctl):
    key = ctl.issue()["key"]
    daemon = launch(handler.url, policies=[{"name": "org", "per": "org", "limit": "1000/1s"}])
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(open_socket(daemon, key)) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(f"hello {number}")
        assert [client.recv(timeout=10) for client in clients] == [f"hello {number}" for number in range(50)]
    until(lambda: len(handler.closed) == 50, "the handler seeing all ends")
    assert handler.closed == [(1000, "")] * 50


def test_without_a_key_it_is_401_and_the_handler_hears_nothing(launch, handler):
    daemon = launch(handler.url)
    with pytest.raises(InvalidStatus) as refused, open_socket(daemon, None):
        pass
    response = refused.value.response
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="tollgate"'
    assert response.headers["Connection"] == "close"
    assert handler.requests == []


def test_beyond_the_limit_it_is_429(launch, handler, key):
    daemon = launch(handler.url, policies=[{"name": "org", "per": "org", "limit": "2/1h"}])
    with open_socket(daemon, key) as first, open_socket(daemon, key) as second:
        with pytest.raises(InvalidStatus) as refused, open_socket(daemon, key):
            pass
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["Retry-After"]) > 1000
        assert len(handler.requests) == 2
        # Messages cost nothing: the two go on.
        for client in (first, second):
            client.send("still here")
            assert client.recv(timeout=10) == "still here"


def test_a_handler_that_declines_is_heard_and_the_connections_end(launch, handler, key):
    handler.refuses = True
    daemon = launch(handler.url)
    with pytest.raises(InvalidStatus) as refused, open_socket(daemon, key):
        pass
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not for you\n")


def head(key: str | None, fields: dict | None = None, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {PATH} HTTP/{version}", "Host: h"]
    if key:
        lines.append(f"X-API-Key: {key}")
    lines += [f"{name}: {value}" for name, value in (UPGRADE if fields is None else fields).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def mirror(_, peer):
    """A handler that switches, then sends back what comes until the end."""
    peer.sendall(SWITCH)
    while octets := peer.recv(65536):
        peer.sendall(octets)


def test_what_is_sent_ahead_waits_for_the_switch(tollgate, upstream, key):
    waited = []

    def slow(_, peer):
        peer.settimeout(0.2)
        try:
            waited.append(peer.recv(1))
        except TimeoutError:
            waited.append("nothing")
        peer.settimeout(10)
        return mirror(_, peer)

    upstream.behaviour = slow
    ahead = b"early bytes that look like\r\nGET /health HTTP/1.1\r\n\r\n" + bytes(range(256)) * 400
    with Connection(tollgate.port) as connection:
        threading.Thread(target=connection.send, args=(head(key) + ahead,), daemon=True).start()
        switched = connection.head()
        assert switched.status == 101
        assert (switched["Connection"], switched["Upgrade"]) == ("Upgrade", "websocket")
        assert switched["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert connection.need(len(ahead)) == ahead
    assert waited == ["nothing"]
    assert upstream.received.endswith(b"\r\n\r\n")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "426 Upgrade Required", "503 Service Unavailable"])
def test_after_another_answer_the_connections_close(tollgate, upstream, key, status):
    upstream.behaviour = lambda *_: reply(b"no", status)
    smuggled = b"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-Tollgate-Org: else\r\n\r\n"
    with Connection(tollgate.port) as connection:
        connection.send(head(key) + smuggled + b"x" * 100_000)
        answer = connection.response()
        assert (f"{answer.status} {answer.reason}", answer.body) == (status, b"no")
        assert answer["Connection"] == "close"
        assert connection.at_end()
    assert len(upstream.requests) == 1
    # Nor is the handler's side used again: who knows what it takes the next bytes for.
    upstream.behaviour = lambda *_: reply(b"fine")
    assert ask(tollgate.port, "GET", "/api/listings", key).status == 200
    assert [request.connection for request in upstream.requests] == [1, 2]


def test_a_refusal_closes_as_well(tollgate, upstream):
    with Connection(tollgate.port) as connection:
        connection.send(head(None) + b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n" + b"x" * 100_000)
        assert connection.response().status == 401
        assert connection.at_end()
    assert upstream.requests == []


@pytest.mark.parametrize(
    "switch",
    [
        SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        SWITCH.replace(b"Upgrade: websocket\r\n", b""),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
    ],
)
def test_a_switch_to_something_else_is_502(tollgate, upstream, key, switch):
    upstream.behaviour = lambda _, peer: peer.sendall(switch + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    with Connection(tollgate.port) as connection:
        connection.send(head(key))
        answer = connection.response()
        assert (answer.status, answer.json()["detail"]) == (502, "Upstream sent an invalid response")
        assert connection.at_end()


UNASKED = {
    "of h2c": ({"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk"}, "GET", "1.1"),
    "with POST": (UPGRADE | {"Content-Length": "0"}, "POST", "1.1"),
    "with a body": (UPGRADE | {"Content-Length": "0"}, "PUT", "1.1"),
    "with HEAD": (UPGRADE, "HEAD", "1.1"),
    "in HTTP/1.0": (UPGRADE, "GET", "1.0"),
    "that Connection doesn't name": (UPGRADE | {"Connection": "keep-alive"}, "GET", "1.1"),
    "of another version": (UPGRADE | {"Upgrade": "websocket/13"}, "GET", "1.1"),
    "of TLS": (UPGRADE | {"Upgrade": "TLS/1.3"}, "GET", "1.1"),
}


@pytest.mark.parametrize("fields, method, version", UNASKED.values(), ids=UNASKED.keys())
def test_no_other_switch_is_asked_for(tollgate, upstream, key, fields, method, version):
    with Connection(tollgate.port) as connection:
        connection.send(head(key, fields, method, version))
        assert connection.response(method).status == 200
    assert not {"upgrade", "connection", "http2-settings"} & upstream.last.names()
    # And one that comes all the same is no answer.
    upstream.behaviour = lambda *_: SWITCH
    with Connection(tollgate.port) as connection:
        connection.send(head(key, fields, method, version))
        assert connection.response(method).status == 502


def test_of_several_protocols_websocket_alone_is_asked_for(tollgate, upstream, key):
    upstream.behaviour = mirror
    fields = UPGRADE | {"Connection": "keep-alive, Upgrade, HTTP2-Settings", "Upgrade": "h2c, WebSocket"}
    with Connection(tollgate.port) as connection:
        connection.send(head(key, fields | {"HTTP2-Settings": "AAMAAABk"}))
        assert connection.head().status == 101
    assert (upstream.last.get("Upgrade"), upstream.last.get("Connection")) == ("websocket", "Upgrade")
    assert "http2-settings" not in upstream.last.names()


def test_interim_answers_may_come_first(tollgate, upstream, key):
    def hint(_, peer):
        peer.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        return mirror(_, peer)

    upstream.behaviour = hint
    with Connection(tollgate.port) as connection:
        connection.send(head(key))
        assert [connection.head().status for _ in range(2)] == [103, 101]
        connection.send(b"over and")
        assert connection.need(8) == b"over and"


# Ends.


def tunnel(daemon, key: str) -> Connection:
    connection = Connection(daemon.port)
    connection.send(head(key))
    assert connection.head().status == 101
    return connection


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
        assert ended.wait(10)
        assert b"".join(got) == last
        # FIN is departure: our side ends as well.
        assert connection.at_end()


def test_when_the_handler_closes_the_client_gets_the_rest_and_the_end(tollgate, upstream, key):
    last = bytes(range(256)) * 1024

    def talk(_, peer):
        peer.sendall(SWITCH + last)

    upstream.behaviour = talk
    with Connection(tollgate.port) as connection:
        connection.send(head(key))
        assert connection.head().status == 101
        # What the client still says doesn't cost it what came.
        connection.send(b"x" * 1000)
        assert connection.need(len(last)) == last
        assert connection.at_end()


def test_a_reset_is_passed_on_as_one(tollgate, upstream, key):
    def reset(_, peer):
        peer.sendall(SWITCH)
        peer.recv(1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    upstream.behaviour = reset
    with tunnel(tollgate, key) as connection:
        connection.send(b"x")
        with pytest.raises(ConnectionResetError):
            connection.socket.recv(1)


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
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert ended.wait(10)
    until(lambda: upstream.open == 0, "the handler's connection ending")


def test_silence_ends_no_tunnel(launch, upstream, key):
    daemon = launch(
        upstream,
        upstream_settings={"response_timeout": "200ms", "idle_timeout": "200ms"},
        limits={"idle_timeout": "200ms", "header_timeout": "200ms"},
    )
    upstream.behaviour = mirror
    with tunnel(daemon, key) as connection:
        time.sleep(1)
        connection.send(b"still there")
        assert connection.need(11) == b"still there"


def test_tunnels_do_not_use_up_the_upstream_connections(launch, upstream, key):
    daemon = launch(upstream, loops=1, upstream_settings={"max_connections": 1, "connect_timeout": "5s"})
    upstream.behaviour = mirror
    tunnels = [tunnel(daemon, key) for _ in range(5)]
    upstream.behaviour = lambda *_: reply(b"room")
    assert ask(daemon.port, "GET", "/api/listings", key).body == b"room"
    for number, connection in enumerate(tunnels):
        connection.send(b"%d" % number)
        assert connection.need(1) == b"%d" % number
        connection.close()


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


def test_a_tunnel_has_a_line_at_its_beginning_and_one_at_its_end(tollgate, upstream, key):
    upstream.behaviour = mirror
    with tunnel(tollgate, key) as connection:
        (began,) = tollgate.lines(1)
        connection.send(b"12345")
        assert connection.need(5) == b"12345"
    ended = tollgate.lines(2)[1]
    assert (began["event"], began["status"], began["route"]) == ("begin", 101, "/files/{rest*}")
    assert (ended["event"], ended["status"], ended["org"]) == ("end", 101, "acme")
    assert (ended["bytes_in"], ended["bytes_out"]) == (5, 5)
    assert ended["correlation_id"] == began["correlation_id"]


def test_a_drain_gives_tunnels_their_time(launch, upstream, key):
    daemon = launch(upstream, drain={"timeout": "2s"})
    upstream.behaviour = mirror
    with tunnel(daemon, key) as connection:
        daemon.terminate()
        until(lambda: not daemon.listens(), "the listener closing")
        connection.send(b"not yet")
        assert connection.need(7) == b"not yet"
        assert connection.at_end()
    assert daemon.wait() == 0
