# SPDX-License-Identifier: Apache-2.0
"""A handler of MCP that is nobody's library: what it sends is at the caller before it sends more, and its death shows.

Nothing here waits for time to pass: the handler sends the next piece only once the caller has the last, so that a byte that
was held back anywhere on the way would stop everything. Other framings, cuts and ends are rows of `EventStreamTests`.
"""

import queue
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from fixtures.programs import Daemon
from fixtures.shared import folder, key, redis
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, Truncated, request_bytes

PATIENCE = 30
EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = EVENT_STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
TO_THE_END = EVENT_STREAM + b"\r\n"
CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"climb","arguments":{}}}'
#: With all that an event stream may hold: a byte order mark, a comment, fields of every kind, every line ending, UTF-8.
EVENTS = "\ufeff: ping\n\nid: 7\nretry: 10\ndata: größe\n\nevent: message\r\ndata: {}\r\n\r\ndata\rdata: two\r\r".encode()


@pytest.fixture(scope="module")
def origin():
    handler = Upstream()
    yield handler
    handler.close()


@pytest.fixture(scope="module")
def daemon(folder, redis, origin):
    running = Daemon(
        folder / "daemon",
        {
            "loops": 2,
            "upstream": {"url": origin.url},
            "redis": {"url": redis.url, "timeout": "2s"},
            "routes": [{"path": "/mcp", "mcp": True}],
            "policies": [{"name": "org", "per": "org", "limit": "10000/1s"}],
        },
    ).start()
    running.wait_until_ready()
    yield running
    running.stop()


class Script:
    """What the handler does with one request, told by the test while it goes on."""

    def __init__(self, origin: Upstream):
        self.lines: queue.Queue = queue.Queue()
        origin.on_head = None
        origin.behaviour = self.play

    def play(self, _, peer: socket.socket) -> None:
        """Sends what it is told, until it is told how to end."""
        self.peer = peer
        while (octets := self.lines.get(timeout=PATIENCE)) is not None:
            peer.sendall(octets)

    def send(self, octets: bytes):
        self.lines.put(octets)

    def close(self):
        self.lines.put(None)

    def reset(self):
        """A connection that is closed with nothing to linger for is reset."""
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def ends(self, how: str):
        {"reset": self.reset, "closed": self.close}[how]()


@pytest.fixture
def script(origin):
    return Script(origin)


class Body:
    """The payload of an answer as it comes, whichever way the sidecar frames it."""

    def __init__(self, connection: Connection):
        self.connection = connection
        self.head = connection.head()
        assert self.head.get("Transfer-Encoding") == "chunked", self.head.head
        self.rest = b""
        self.ended = False

    def take(self, count: int) -> bytes:
        while len(self.rest) < count:
            self.rest += self.more()
        octets, self.rest = self.rest[:count], self.rest[count:]
        return octets

    def more(self) -> bytes:
        octets = self.connection.chunk()
        self.ended = octets == b""
        return octets

    def at_clean_end(self) -> bool:
        """Whether the last chunk comes next."""
        return not self.rest and self.more() == b""


def asking(key: str, method: str = "GET", **fields: str) -> bytes:
    wanted = {"Accept": "application/json, text/event-stream", "X-API-Key": key, **fields}
    if method == "POST":
        return request_bytes("POST", "/mcp", {"Content-Type": "application/json", **wanted}, CALL)
    return request_bytes(method, "/mcp", wanted)


@contextmanager
def stream(daemon: Daemon, script: Script, key: str, head: bytes, method: str = "GET"):
    """A stream whose head is at the caller before there is any body."""
    with Connection(daemon.port) as connection:
        connection.send(asking(key, method))
        script.send(head)
        body = Body(connection)
        assert body.head.status == 200
        assert body.head["Content-Type"] == "text/event-stream"
        yield body


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(octets), octets)


def test_every_byte_is_there_when_it_was_sent(daemon, script, key):
    with stream(daemon, script, key, CHUNKED, "POST") as body:
        assert {"x-accel-buffering", "content-encoding", "content-length"}.isdisjoint(
            name.lower() for name, _ in body.head.fields
        )
        for octet in EVENTS:
            piece = bytes([octet])
            script.send(chunk(piece))
            assert body.take(1) == piece
        script.send(b"0\r\n\r\n")
        script.close()
        assert body.at_clean_end()


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_handler_that_dies_in_mid_event_does_not_look_done(daemon, script, key, how):
    with stream(daemon, script, key, CHUNKED, "POST") as body:
        script.send(chunk(b"data: 1\n\n") + b"ff\r\ndata: 2")
        assert body.take(16) == b"data: 1\n\ndata: 2"
        script.ends(how)
        with pytest.raises(Truncated) as cut:
            body.more()
        assert cut.value.read == b""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_handler_that_dies_before_its_length_does_not_look_done(daemon, script, key, how, method):
    with Connection(daemon.port) as connection:
        connection.send(asking(key, method))
        script.send(EVENT_STREAM + b"Content-Length: 99\r\n\r\n")
        assert connection.head()["Content-Length"] == "99"
        script.send(b"data: 1\n\ndata: 2")
        assert connection.need(16) == b"data: 1\n\ndata: 2"
        script.ends(how)
        with pytest.raises(Truncated) as cut:
            connection.need(1)
        assert cut.value.read == b""


@pytest.mark.parametrize("how, clean", [("reset", False), ("closed", True)])
def test_a_body_to_the_end_of_its_connection_ends_well_by_fin_alone(daemon, script, key, how, clean):
    with stream(daemon, script, key, TO_THE_END) as body:
        script.send(b"data: 1\n\ndata: 2")
        assert body.take(16) == b"data: 1\n\ndata: 2"
        script.ends(how)
        if clean:
            assert body.at_clean_end()
        else:
            with pytest.raises(Truncated) as cut:
                body.more()
            assert cut.value.read == b""


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_caller_that_leaves_is_gone_for_the_handler_at_once(daemon, origin, key, how):
    """Not a byte flows any more: the end of the connection alone tells."""
    ended = queue.Queue()

    def wait(_, peer: socket.socket) -> None:
        peer.sendall(CHUNKED + chunk(b"data: 1"))
        try:
            ended.put(peer.recv(1))
        except ConnectionResetError:
            ended.put(b"")

    origin.behaviour = wait
    connection = Connection(daemon.port)
    connection.send(asking(key))
    assert connection.head().status == 200
    assert connection.chunk() == b"data: 1"
    if how == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    # It ended, and nothing was said before.
    assert ended.get(timeout=PATIENCE) == b""


def test_a_caller_of_another_stream_stays_when_one_leaves(daemon, origin, key):
    """Streams share nothing: two of the same key, one leaves, the other goes on."""
    peers, open_streams, left = {}, threading.Semaphore(0), queue.Queue()

    def wait(request, peer: socket.socket) -> None:
        peer.sendall(CHUNKED)
        peers[request.get("Last-Event-ID")] = peer
        open_streams.release()
        peer.recv(1)
        left.put(request.get("Last-Event-ID"))

    origin.behaviour = wait
    going, staying = Connection(daemon.port), Connection(daemon.port)
    for name, connection in (("going", going), ("staying", staying)):
        connection.send(asking(key, **{"Last-Event-ID": name}))
        assert open_streams.acquire(timeout=PATIENCE)
        assert connection.head().status == 200
    going.close()
    assert left.get(timeout=PATIENCE) == "going"
    peers["staying"].sendall(chunk(b"data: 1\n\n"))
    assert staying.chunk() == b"data: 1\n\n"
    staying.close()


def test_a_request_reaches_the_handler_as_it_was_sent(daemon, origin, key):
    """In a session of its own; the handler sees its own address in Host."""
    fields = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-11-25",
        "Mcp-Session-Id": "a1",
        "Last-Event-ID": "7",
    }
    origin.behaviour = lambda *_: reply(b"{}", fields={"Content-Type": "application/json", "Mcp-Session-Id": "a1"})
    with Connection(daemon.port) as connection:
        # The session is this key's from here on.
        began = connection.request("POST", "/mcp", {"X-API-Key": key}, b'{"jsonrpc":"2.0","id":0,"method":"initialize"}')
        assert (began.status, began["Mcp-Session-Id"]) == (200, "a1")
        assert connection.request("POST", "/mcp", {"X-API-Key": key, **fields}, CALL).status == 200
    request = origin.last
    assert request.body == CALL
    assert {name: request.get(name) for name in fields} == fields
    assert request.all("Host") == [origin.url.removeprefix("http://")]
    assert request.get("X-API-Key") is None
