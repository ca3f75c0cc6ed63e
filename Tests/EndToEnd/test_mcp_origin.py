# SPDX-License-Identifier: Apache-2.0
"""A handler of MCP that is nobody's library: what it sends is at the caller before it sends more, and its death shows.

Nothing here waits for time to pass: the handler sends the next piece only once the caller has the last, so that a byte that
was held back anywhere on the way would stop everything.
"""

import json
import queue
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from fixtures.programs import Daemon
from fixtures.shared import folder, key, redis
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, Truncated, request_bytes, until

PATIENCE = 10
EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = EVENT_STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
TO_THE_END = EVENT_STREAM + b"\r\n"
OLD = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
HEADS = {"chunked": CHUNKED, "to the end": TO_THE_END, "HTTP/1.0": OLD}
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


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_every_byte_is_there_when_it_was_sent(daemon, script, key, head, method):
    with stream(daemon, script, key, head, method) as body:
        assert {"x-accel-buffering", "content-encoding", "content-length"}.isdisjoint(
            name.lower() for name, _ in body.head.fields
        )
        for octet in EVENTS:
            piece = bytes([octet])
            script.send(chunk(piece) if head is CHUNKED else piece)
            assert body.take(1) == piece
        if head is CHUNKED:
            script.send(b"0\r\n\r\n")
        script.close()
        assert body.at_clean_end()


def test_every_byte_of_one_chunk_is_there_when_it_was_sent(daemon, script, key):
    """The handler's chunks are no units: what there is of one goes on."""
    with stream(daemon, script, key, CHUNKED) as body:
        for octet in b"%x\r\n" % len(EVENTS):
            script.send(bytes([octet]))
        for octet in EVENTS:
            script.send(bytes([octet]))
            assert body.take(1) == bytes([octet])
        for octet in b"\r\n0\r\n\r\n":
            script.send(bytes([octet]))
        assert body.at_clean_end()
        script.close()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_an_event_may_come_in_two_packets_cut_anywhere(daemon, script, key, head):
    event = "id: 1\ndata: größe\n\n".encode()
    with stream(daemon, script, key, head) as body:
        for cut in range(1, len(event)):
            for piece in (event[:cut], event[cut:]):
                script.send(chunk(piece) if head is CHUNKED else piece)
                assert body.take(len(piece)) == piece
        # The framing may be cut as well, before, in and behind it.
        if head is CHUNKED:
            for cut in range(1, len(chunk(event))):
                script.send(chunk(event)[:cut])
                script.send(chunk(event)[cut:])
                assert body.take(len(event)) == event
            script.send(b"0\r\n\r\n")
        script.close()
        assert body.at_clean_end()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_many_events_may_come_in_one_packet(daemon, script, key, head):
    events = [b"id: %d\ndata: %s\n\n" % (number, b"x" * (number % 97)) for number in range(500)]
    together = b"".join(map(chunk, events)) if head is CHUNKED else b"".join(events)
    with stream(daemon, script, key, head) as body:
        script.send(together)
        assert body.take(len(b"".join(events))) == b"".join(events)
        if head is CHUNKED:
            script.send(b"0\r\n\r\n")
        script.close()
        assert body.at_clean_end()


def test_the_head_and_all_events_may_come_in_one_packet(daemon, script, key):
    with Connection(daemon.port) as connection:
        connection.send(asking(key))
        script.send(CHUNKED + chunk(b"data: 1\n\n") + chunk(b"data: 2\n\n") + b"0\r\n\r\n")
        script.close()
        body = Body(connection)
        assert body.take(18) == b"data: 1\n\ndata: 2\n\n"
        assert body.at_clean_end()


@pytest.mark.parametrize("field", ["X-Accel-Buffering: no", "Cache-Control: no-cache, no-transform", "Mcp-Session-Id: a1"])
def test_what_the_handler_says_of_its_stream_passes(daemon, script, key, field):
    with stream(daemon, script, key, EVENT_STREAM + field.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n") as body:
        name, value = field.split(": ")
        assert body.head[name] == value
        script.send(b"0\r\n\r\n")
        script.close()
        assert body.at_clean_end()


#: Where a handler may die, with what it had sent; all of it in the middle of an event.
DEATHS = {
    "between chunks": (CHUNKED, chunk(b"data: 1\n\n") + chunk(b"data: 2"), b"data: 1\n\ndata: 2"),
    "in a chunk": (CHUNKED, chunk(b"data: 1\n\n") + b"ff\r\ndata: 2", b"data: 1\n\ndata: 2"),
    "in the size of a chunk": (CHUNKED, chunk(b"data: 1\n\n") + b"f", b"data: 1\n\n"),
    "in the last chunk": (CHUNKED, chunk(b"data: 1\n\n") + b"0\r\n", b"data: 1\n\n"),
    "before its length": (EVENT_STREAM + b"Content-Length: 99\r\n\r\n", b"data: 1\n\ndata: 2", b"data: 1\n\ndata: 2"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["reset", "closed"])
@pytest.mark.parametrize("head, sent, seen", DEATHS.values(), ids=DEATHS)
def test_a_handler_that_dies_in_mid_event_does_not_look_done(daemon, script, key, head, sent, seen, how, method):
    with Connection(daemon.port) as connection:
        connection.send(asking(key, method))
        script.send(head)
        answer = connection.head()
        script.send(sent)
        chunked = answer.get("Transfer-Encoding") == "chunked"
        got = b""
        while len(got) < len(seen):
            got += connection.chunk() if chunked else connection.need(1)
        assert got == seen
        script.ends(how)
        with pytest.raises(Truncated) as cut:
            connection.chunk() if chunked else connection.need(1)
        assert cut.value.read == b""


@pytest.mark.parametrize("head", [TO_THE_END, OLD], ids=["to the end", "HTTP/1.0"])
@pytest.mark.parametrize("how, clean", [("reset", False), ("closed", True)])
def test_a_body_to_the_end_of_its_connection_ends_well_by_fin_alone(daemon, script, key, head, how, clean):
    with stream(daemon, script, key, head) as body:
        script.send(b"data: 1\n\ndata: 2")
        assert body.take(16) == b"data: 1\n\ndata: 2"
        script.ends(how)
        if clean:
            assert body.at_clean_end()
        else:
            with pytest.raises(Truncated) as cut:
                body.more()
            assert cut.value.read == b""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["reset", "closed"])
@pytest.mark.parametrize("when", ["before the head", "after the head", "in mid-event"])
def test_a_caller_that_leaves_is_gone_for_the_handler_at_once(daemon, origin, key, when, how, method):
    """Not a byte flows any more: the end of the connection alone tells."""
    begun, ended = threading.Event(), queue.Queue()

    def wait(_, peer: socket.socket) -> None:
        if when != "before the head":
            peer.sendall(CHUNKED)
        if when == "in mid-event":
            peer.sendall(chunk(b"data: 1"))
        begun.set()
        try:
            ended.put(peer.recv(1))
        except ConnectionResetError:
            ended.put(b"")

    origin.behaviour = wait
    connection = Connection(daemon.port)
    connection.send(asking(key, method))
    assert begun.wait(PATIENCE)
    if when != "before the head":
        assert connection.head().status == 200
    if when == "in mid-event":
        assert connection.chunk() == b"data: 1"
    if how == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    # It ended, and nothing was said before.
    assert ended.get(timeout=2) == b""


def test_a_caller_of_another_stream_stays_when_one_leaves(daemon, origin, key):
    """Streams share nothing: two of the same key, one leaves, the other goes on."""
    peers, open_streams = {}, threading.Semaphore(0)

    def wait(request, peer: socket.socket) -> None:
        peer.sendall(CHUNKED)
        peers[request.get("Last-Event-ID")] = peer
        open_streams.release()
        peer.recv(1)

    origin.behaviour = wait
    going, staying = Connection(daemon.port), Connection(daemon.port)
    for name, connection in (("going", going), ("staying", staying)):
        connection.send(asking(key, **{"Last-Event-ID": name}))
        assert open_streams.acquire(timeout=PATIENCE)
        assert connection.head().status == 200
    before = origin.open
    going.close()
    until(lambda: origin.open == before - 1, "the handler being left")
    peers["staying"].sendall(chunk(b"data: 1\n\n"))
    assert staying.chunk() == b"data: 1\n\n"
    staying.close()


FIELDS = {
    "modern": {
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "climb",
        "Mcp-Param-Region": "=?base64?Z3LDtsOfZQ==?=",
        "Mcp-Of-Tomorrow": "x",
    },
    "legacy": {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "a1", "Last-Event-ID": "7"},
}


@pytest.mark.parametrize("era", FIELDS)
def test_a_request_reaches_the_handler_as_it_was_sent(daemon, origin, key, era):
    """Fields of MCP that nobody here knows pass, none is doubled; the handler sees its own address in Host."""
    fields = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json", **FIELDS[era]}
    origin.behaviour = lambda *_: reply(b"{}", fields={"Content-Type": "application/json", "Mcp-Session-Id": "a1"})
    with Connection(daemon.port) as connection:
        if era == "legacy":
            # The session is this key's from here on.
            began = connection.request("POST", "/mcp", {"X-API-Key": key}, b'{"jsonrpc":"2.0","id":0,"method":"initialize"}')
            assert (began.status, began["Mcp-Session-Id"]) == (200, "a1")
        assert connection.request("POST", "/mcp", {"X-API-Key": key, **fields}, CALL).status == 200
    request = origin.last
    assert request.body == CALL
    assert {name: request.get(name) for name in fields} == fields
    assert request.all("Host") == [origin.url.removeprefix("http://")]
    assert request.get("X-API-Key") is None


BATCH = [
    {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}},
    {"jsonrpc": "2.0", "id": 2, "method": "ping"},
]
ANSWERS = [{"jsonrpc": "2.0", "id": 2, "result": {}}, {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}]


def post_batch(connection: Connection, key: str):
    fields = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-03-26",
        "X-API-Key": key,
    }
    connection.send(request_bytes("POST", "/mcp", fields, json.dumps(BATCH).encode()))


def test_a_batch_answered_by_json(daemon, origin, key):
    """2025-03-26: several messages in one array, the answers in whichever order."""
    answer = json.dumps(ANSWERS).encode()
    origin.behaviour = lambda *_: reply(answer, fields={"Content-Type": "application/json"})
    with Connection(daemon.port) as connection:
        post_batch(connection, key)
        got = connection.response("POST")
    assert (got.status, got["Content-Type"], got.body) == (200, "application/json", answer)
    assert json.loads(origin.last.body) == BATCH


def test_a_batch_answered_by_a_stream(daemon, origin, script, key):
    with Connection(daemon.port) as connection:
        post_batch(connection, key)
        script.send(CHUNKED)
        body = Body(connection)
        for answer in ANSWERS:
            event = b"event: message\ndata: " + json.dumps(answer).encode() + b"\n\n"
            script.send(chunk(event))
            assert body.take(len(event)) == event
        script.send(b"0\r\n\r\n")
        script.close()
        assert body.at_clean_end()
    assert json.loads(origin.last.body) == BATCH


def test_a_batch_of_notifications_is_accepted(daemon, origin, key):
    origin.behaviour = lambda *_: b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    with Connection(daemon.port) as connection:
        fields = {"Content-Type": "application/json", "X-API-Key": key}
        body = json.dumps(BATCH[1:2] * 2).encode()
        got = connection.request("POST", "/mcp", fields, body)
    assert (got.status, got.body, origin.last.body) == (202, b"", body)
