# SPDX-License-Identifier: Apache-2.0
"""Long bodies and many streams: what they cost in memory and in time."""

import contextlib
import os
import resource
import select
import socket
import statistics
import threading
import time

import pytest
from fixtures.programs import Daemon, built
from fixtures.wire import Connection, ask, request_bytes, until

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
#: A debug build with its counters is several times as slow, and `--long` has the time.
IS_DEBUG = "debug" in str(built("tollgate"))
GIGABYTE = 1 << 30
SIZE = GIGABYTE if os.environ.get("TOLLGATE_LONG") or not IS_DEBUG else GIGABYTE // 4
MOST_GROWTH = 16 << 20
BLOCK = 1 << 16

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(octets: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(octets), octets)


class Handler:
    """Serves each connection by a function of its socket and of the head it has sent, in a thread of its own."""

    def __init__(self, serve, receive_buffer: int | None = None):
        self.serve = serve
        self.listener = socket.socket()
        if receive_buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket):
        with connection, contextlib.suppress(OSError):
            received = b""
            while b"\r\n\r\n" not in received:
                octets = connection.recv(BLOCK)
                if not octets:
                    return
                received += octets
            head, body = received.split(b"\r\n\r\n", 1)
            self.serve(connection, head, body)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def handler():
    handlers = []

    def make(serve, **options) -> Handler:
        handlers.append(Handler(serve, **options))
        return handlers[-1]

    yield make
    for one in handlers:
        one.close()


class Watch:
    """The most memory that a daemon has had while it was watched, beyond what it had before."""

    def __init__(self, daemon: Daemon):
        self.daemon = daemon
        self.before = self.most = daemon.resident("VmRSS")
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.01):
            self.most = max(self.most, self.daemon.resident("VmRSS"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    @property
    def growth(self) -> int:
        return self.most - self.before


# MARK: Long bodies


def pause_after(taken: int, megabytes: int = 8):
    """A peer that is slow: now and then it does something else."""
    if taken % (megabytes << 20) < BLOCK:
        time.sleep(0.005)


def test_a_gigabyte_down_to_a_slow_client_costs_no_memory(launch, handler, key):
    def pour(connection, head, _):
        size = int(head.split()[1].rpartition(b"/")[2])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(BLOCK)
        for _ in range(size // BLOCK):
            connection.sendall(block)

    daemon = launch(handler(pour).url, policies=WIDE)

    def take(size: int, is_slow: bool) -> int:
        with Connection(daemon.port, receive_buffer=BLOCK) as connection:
            connection.send(request_bytes("GET", f"/files/{size}", {"X-API-Key": key}))
            assert int(connection.head()["Content-Length"]) == size
            taken = len(connection.pending)
            room = memoryview(bytearray(BLOCK))
            if is_slow:
                # At first it takes nothing, until everything on the way is full.
                time.sleep(0.5)
            while taken < size:
                count = connection.socket.recv_into(room)
                assert count > 0, f"ended after {taken}"
                taken += count
                if is_slow:
                    pause_after(taken)
            return taken

    # What the first long body needs is kept for all after it.
    take(16 << 20, False)
    with Watch(daemon) as watch:
        assert take(SIZE, True) == SIZE
    assert watch.growth < MOST_GROWTH


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_gigabyte_up_to_a_slow_handler_costs_no_memory(launch, handler, key, framing):
    taken = []

    def drain(connection, head, body):
        is_slow = b"/slow" in head
        if is_slow:
            time.sleep(0.5)
        # The coding ends with a chunk of no length.
        end = b"0\r\n\r\n" if b"chunked" in head.lower() else None
        count, last = len(body), body[-5:]
        room = memoryview(bytearray(BLOCK))
        length = int(next((l.split()[1] for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")), 0))
        while last != end if end else count < length:
            received = connection.recv_into(room)
            if not received:
                return
            count += received
            last = (last + bytes(room[max(0, received - 5) : received]))[-5:]
            if is_slow:
                pause_after(count)
        taken.append(count)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    daemon = launch(handler(drain, receive_buffer=BLOCK).url, policies=WIDE, limits={"body_bytes": "2GiB"})

    def give(size: int, target: str):
        field = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {size}"
        with Connection(daemon.port, timeout=60) as connection:
            connection.send(f"POST {target} HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n{field}\r\n\r\n".encode())
            block = chunk(bytes(BLOCK)) if framing == "chunked" else bytes(BLOCK)
            for _ in range(size // BLOCK):
                connection.send(block)
            if framing == "chunked":
                connection.send(b"0\r\n\r\n")
            assert connection.response("POST").body == b"ok"

    give(16 << 20, "/files/fast")
    with Watch(daemon) as watch:
        give(SIZE, "/files/slow")
    assert taken[1] == SIZE if framing == "length" else taken[1] > SIZE
    assert watch.growth < MOST_GROWTH


# MARK: Streams in time


def open_stream(port: int, key: str) -> Connection:
    connection = Connection(port)
    connection.send(request_bytes("GET", "/mcp", {"X-API-Key": key, "Accept": "text/event-stream"}))
    assert connection.head().status == 200
    return connection


def test_an_event_is_forwarded_within_five_milliseconds(launch, handler, key):
    def stream(connection, *_):
        connection.sendall(SSE)
        while True:
            time.sleep(0.004)
            connection.sendall(chunk(b"data: %d\n\n" % time.monotonic_ns()))

    daemon = launch(handler(stream).url, policies=WIDE)
    with open_stream(daemon.port, key) as connection:
        delays = []
        for _ in range(400):
            event = connection.chunk()
            delays.append(time.monotonic_ns() - int(event.removeprefix(b"data: ")))
            assert event.endswith(b"\n\n") and event.count(b"data") == 1
    assert statistics.median(delays) < 5_000_000


def test_the_end_of_one_side_is_the_end_of_the_other_within_a_tenth_of_a_second(launch, handler, key):
    ended = []
    told = threading.Semaphore(0)

    def stream(connection, head, _):
        connection.sendall(SSE + chunk(b"data: 1\n\n"))
        if b"/files/dies" in head:
            return
        # Nothing is said from here on: only the end of the connection can be heard.
        connection.recv(1)
        ended.append(time.monotonic())
        told.release()

    daemon = launch(handler(stream).url, policies=WIDE)
    upwards, downwards = [], []
    for _ in range(15):
        connection = open_stream(daemon.port, key)
        assert connection.chunk() == b"data: 1\n\n"
        closed = time.monotonic()
        connection.close()
        assert told.acquire(timeout=10)
        upwards.append(ended[-1] - closed)

    for _ in range(15):
        with Connection(daemon.port) as connection:
            began = time.monotonic()
            connection.send(request_bytes("GET", "/files/dies", {"X-API-Key": key}))
            while connection.more():
                pass
            # All of it, from the request on.
            downwards.append(time.monotonic() - began)
            # What it said is here, and no end of a body: the stream was cut.
            assert b"data: 1\n\n" in connection.pending and b"\r\n0\r\n" not in connection.pending
    assert statistics.median(upwards) < 0.1
    assert statistics.median(downwards) < 0.1


def test_a_stream_may_be_silent_for_longer_than_any_timeout(launch, handler, key):
    def stream(connection, *_):
        connection.sendall(SSE)
        time.sleep(2)
        connection.sendall(chunk(b"data: late\n\n"))

    daemon = launch(
        handler(stream).url,
        limits={"idle_timeout": "300ms", "header_timeout": "300ms"},
        upstream_settings={"response_timeout": "300ms", "idle_timeout": "300ms", "connect_timeout": "300ms"},
    )
    with open_stream(daemon.port, key) as connection:
        assert connection.chunk() == b"data: late\n\n"


# MARK: Many streams


class Streams:
    """A handler that begins a stream for every request and then says nothing more. One thread for all."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections: dict[int, socket.socket] = {}
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError, ValueError):
            while True:
                for descriptor, _ in self.poll.poll():
                    if descriptor == self.listener.fileno():
                        connection, _ = self.listener.accept()
                        self.connections[connection.fileno()] = connection
                        self.poll.register(connection, select.EPOLLIN)
                    else:
                        self.serve(descriptor)

    def serve(self, descriptor: int):
        connection = self.connections[descriptor]
        try:
            octets = connection.recv(BLOCK)
        except OSError:
            octets = b""
        if octets:
            connection.sendall(SSE + chunk(b"data: 1\n\n"))
        else:
            self.poll.unregister(descriptor)
            del self.connections[descriptor]
            connection.close()

    def close(self):
        self.poll.close()
        self.listener.close()
        for connection in list(self.connections.values()):
            connection.close()


@pytest.fixture
def many_descriptors():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_two_thousand_idle_streams_are_sixteen_kilobytes_each(launch, key, many_descriptors):
    count = 2000
    handler = Streams()
    daemon = launch(handler.url, policies=[*WIDE, {"name": "open-streams", "concurrency": count + 1}])
    open_stream(daemon.port, key).close()
    before = daemon.resident("VmRSS")
    streams = [open_stream(daemon.port, key) for _ in range(count)]
    for stream in streams:
        assert stream.chunk() == b"data: 1\n\n"
    each = (daemon.resident("VmRSS") - before) / count
    # They don't count against the connections to the handler, so another request is served.
    assert len(handler.connections) == count
    for stream in streams:
        stream.close()
    until(lambda: not handler.connections, "the end of all streams", 30)
    handler.close()
    assert each < 16 * 1024


# MARK: Slow clients


def test_heads_that_trickle_in_are_cut_and_others_do_not_notice(launch, upstream, key):
    daemon = launch(upstream, policies=WIDE, limits={"header_timeout": "1500ms"})
    slow = [Connection(daemon.port) for _ in range(200)]
    began = time.monotonic()
    for connection in slow:
        connection.send(b"GET /health HTTP/1.1\r\nHost: h\r\nX-A: ")
    # An octet now and then doesn't help: the time is that of the whole head.
    while time.monotonic() - began < 1.2:
        for connection in slow:
            connection.send(b"a")
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    for connection in slow:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(b"a")
    for connection in slow:
        answer = connection.response()
        assert answer.status == 408 and answer["Connection"] == "close"
        connection.close()
    assert time.monotonic() - began > 1.4
    assert not upstream.received.count(b"X-A")


def test_bodies_that_stop_are_cut_and_the_handler_is_left(launch, upstream, key):
    daemon = launch(upstream, policies=WIDE, limits={"idle_timeout": "1s"})
    slow = [Connection(daemon.port) for _ in range(50)]
    for number, connection in enumerate(slow):
        framing = "Transfer-Encoding: chunked" if number % 2 else "Content-Length: 100"
        head = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n{framing}\r\n\r\n"
        connection.send(head.encode() + (b"5\r\nhe" if number % 2 else b"he"))
    for connection in slow:
        answer = connection.response("POST")
        assert answer.status == 408 and answer["Connection"] == "close"
        connection.close()
    # None of them was worth a connection to the handler.
    assert upstream.accepted == 0


# MARK: Heads that cost

ROOM = 31 * 1024
NOMINATED = [f"x-nominated-{number:02}" for number in range(16)]


def filled(name: str, piece: str, room: int = ROOM) -> list[tuple[str, str]]:
    return [(name, piece * (room // len(piece)))]


def spread(name: str, count: int = 240) -> list[tuple[str, str]]:
    """As many fields as fit, each nearly one of those that end with the connection."""
    return [(f"{name}{number:03}", "v" * (ROOM // count - len(name) - 8)) for number in range(count)]


#: Each as long as a head may be, and made to be gone over as often as possible.
COSTLY = {
    "fields beside nominated ones": [("Connection", ", ".join(NOMINATED)), *spread("x-nominated-")],
    "short fields": [
        ("Connection", ", ".join(NOMINATED)),
        *[(f"x-nominated-0{number:03}", "") for number in range(240)],
    ],
    "addresses": filled("X-Forwarded-For", "192.0.2.1, "),
    "forwarded": filled("Forwarded", 'for="[2001:db8::1]";proto=http, '),
    "commas": filled("Accept", "a,"),
    "types": filled("Accept", "text/event-stream;q=0.1,"),
    "cookies": filled("Cookie", "a=b; "),
    "keys": filled("Authorization", "Bearer mcp_"),
    "patterns": filled("Authorization", "sk-" + "-pro" * 127 + " "),
    "words": filled("Authorization", "mcp_ "),
    "beginnings": filled("Authorization", "~mcp"),
    "languages": filled("Accept-Encoding", "gzip;q=0,"),
    "vias": filled("Via", "1.1 a,"),
    "a path": [],
}
MOST_SECONDS = 0.08 if IS_DEBUG else 0.002


def answer_all(connection: socket.socket, *_):
    while True:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            octets = connection.recv(BLOCK)
            if not octets:
                return
            received += octets


@pytest.mark.parametrize("kind", COSTLY)
def test_no_head_costs_more_than_two_milliseconds(launch, handler, key, kind):
    daemon = launch(
        handler(answer_all).url,
        loops=1,
        policies=WIDE,
        keys={"accept": ["mcp_", "sk-*-prod"]},
        routes=[{"path": "/{rest*}"}],
        trusted_proxies=["127.0.0.0/8"],
        log={"level": "info", "access": "off"},
    )
    path = "/" + "a/" * (4 * 1024 if kind == "a path" else 1)
    lines = [f"GET {path} HTTP/1.1", "Host: h", f"X-API-Key: {key}"]
    head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in COSTLY[kind])]).encode() + b"\r\n\r\n"
    assert len(head) < 32 * 1024
    count = 200
    with Connection(daemon.port) as connection:
        connection.send(head)
        assert connection.response().status == 200
        before = daemon.processor_time()
        for _ in range(count):
            connection.send(head)
            assert connection.response().status == 200
        assert (daemon.processor_time() - before) / count <= MOST_SECONDS
