# SPDX-License-Identifier: Apache-2.0
"""Streams and tunnels stay open only as long as their key holds, and hold a slot only as long as their sidecar lives."""

import contextlib
import hashlib
import os
import signal
import socket
import threading
import time

import pytest
from fixtures.programs import ROOT
from fixtures.redis_server import clock
from fixtures.wire import Closed, Connection, Truncated, ask, request_bytes, until

SSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#: By this much faster go the clocks of the sidecars and of Redis; all seconds here are theirs.
SPEED = 4
#: What design promises from the change to the end of the stream.
PROMISE = 15.0
#: How long a slot lasts that nobody renews.
SLOT = 30.0
#: By how much later than by their clocks a busy machine may let us see it.
LATE = 20.0


@pytest.fixture
def clocks():
    return [ROOT / "Tests/at", "--speed", str(SPEED)]


def now() -> float:
    return time.monotonic() * SPEED


def sleep(seconds: float):
    time.sleep(seconds / SPEED)


@pytest.fixture
def streaming(upstream):
    """A handler that begins a stream, or a tunnel where asked, and says nothing more. What it sees end is counted."""
    ended = []

    def serve(request, peer):
        if request.get("Upgrade"):
            peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        elif request.method == "POST":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        else:
            peer.sendall(SSE + b"9\r\ndata: 1\n\n\r\n")
        peer.settimeout(120)
        try:
            peer.recv(1)
        except OSError:
            pass
        ended.append(request.target)

    upstream.behaviour = serve
    upstream.ended = ended
    return upstream


class Stream:
    """One open event stream, or tunnel, and when it ended."""

    def __init__(self, port: int, key: str, upgrade: bool = False):
        self.connection = Connection(port, timeout=120)
        fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n" if upgrade else "Accept: text/event-stream\r\n"
        self.connection.send(f"GET /files/s HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n{fields}\r\n".encode())
        self.head = self.connection.head()
        self.ended: float | None = None
        self.was_clean = False
        if self.head.status in (101, 200):
            if not upgrade:
                assert self.connection.chunk() == b"data: 1\n\n"
            self.thread = threading.Thread(target=self.watch, args=(upgrade,), daemon=True)
            self.thread.start()

    @property
    def is_open(self) -> bool:
        return self.head.status in (101, 200) and self.ended is None

    def watch(self, upgrade: bool):
        try:
            if upgrade:
                self.connection.need(1)
            else:
                self.was_clean = self.connection.chunk() == b""
        except (Truncated, Closed, OSError):
            pass
        self.ended = now()

    def ends(self, within: float):
        until(lambda: self.ended is not None, "the end of the stream", within / SPEED)

    def close(self):
        # A close alone doesn't wake the thread that reads, and says nothing to the other side meanwhile.
        with contextlib.suppress(OSError):
            self.connection.socket.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def ends(daemon, count: int) -> list[str]:
    """Why streams have ended, from the access log, which is written a moment later."""

    def reasons():
        return [line.get("reason") for line in daemon.lines() if line.get("event") == "end"]

    until(lambda: len(reasons()) >= count, f"{count} lines of the log")
    return reasons()


def changed(redis, issued, **fields):
    """As a change of the CLI's: the record, and a new revision of its organization."""
    org, name = issued["id"].split("/")
    for field, value in fields.items():
        redis("HSET", f"tg:1:{{{org}}}:k:{name}", field, value)
    redis("HSET", f"tg:1:{{{org}}}", "rev", os.urandom(8).hex())


def revoke(ctl, redis, issued):
    ctl.revoke(issued["id"])


def suspend(ctl, redis, issued):
    redis("HSET", f"tg:1:{{{issued['org']}}}", "status", "suspended")
    changed(redis, issued)


def expire(ctl, redis, issued):
    changed(redis, issued, expires_at=int(clock(redis)) + 1)


def forget(ctl, redis, issued):
    """The pointer and the record are gone, as after `org delete`."""
    org, name = issued["id"].split("/")
    redis("DEL", f"tg:1:cred:{hashlib.sha256(issued['key'].encode()).hexdigest()}")
    redis("DEL", f"tg:1:{{{org}}}:k:{name}")
    changed(redis, {"id": f"{org}/xxxxxxxxxx"})


def test_streams_and_tunnels_end_with_their_key(launch, streaming, ctl, redis):
    daemon = launch(streaming, policies=[{"name": "streams", "per": "key", "concurrency": 4}])
    changes = [revoke, suspend, expire, forget]
    keys = [ctl.issue(change.__name__) for change in changes]
    kept = Stream(daemon.port, ctl.issue("kept")["key"])
    streams = [Stream(daemon.port, issued["key"], upgrade) for issued in keys for upgrade in (False, True)]
    assert all(stream.is_open for stream in [*streams, kept])
    for change, issued in zip(changes, keys, strict=True):
        change(ctl, redis, issued)
    began = now()
    for stream in streams:
        stream.ends(within=PROMISE + LATE)
        assert stream.ended - began < PROMISE + LATE / 4
        # Like a handler that died: nobody takes it for the end.
        assert not stream.was_clean
    assert kept.is_open
    until(lambda: len(streaming.ended) == len(streams), "the handler left")
    # Nothing is held for them any more.
    until(lambda: len(redis.names("tg:1:{*}:c:*")) == 1, "the slots given back")
    assert ends(daemon, len(streams)) == ["key_ended"] * len(streams)
    kept.close()


def test_without_redis_they_stay(launch, streaming, key, redis):
    daemon = launch(streaming, policies=[{"name": "streams", "per": "key", "concurrency": 4}])
    stream = Stream(daemon.port, key)
    redis.kill()
    sleep(12)
    assert stream.is_open
    redis.start()
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 200, "/readyz", 20)
    # The slot is renewed in time, or taken anew.
    sleep(11)
    assert stream.is_open
    assert ask(daemon.port, "POST", "/files/s", key).status == 200
    stream.close()


def slots(redis) -> list[bytes]:
    names = redis.names("tg:1:{acme}:c:streams:*")
    return redis("ZRANGEBYSCORE", next(iter(names)), f"({clock(redis) * 1e6:.0f}", "+inf") if names else []


def open_some(daemon, key, count: int) -> list[Stream]:
    streams = [Stream(daemon.port, key) for _ in range(count)]
    return [stream for stream in streams if stream.is_open]


def test_sidecars_that_die_or_stop_free_their_slots_in_time(launch, streaming, ctl, redis):
    """Eight sidecars fill a limit; three are killed and one is stopped for longer than a slot lasts."""
    limit = 16
    daemons = [
        launch(streaming, loops=1, policies=[{"name": "streams", "per": "key", "concurrency": limit}]) for _ in range(8)
    ]
    key = ctl.issue()["key"]
    streams = {daemon.port: open_some(daemon, key, 2) for daemon in daemons}
    assert [len(own) for own in streams.values()] == [2] * 8
    assert len(slots(redis)) == limit
    assert not open_some(daemons[0], key, 1)

    killed, stopped, others = daemons[:3], daemons[3], daemons[4:]
    for daemon in killed:
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
        daemon.process = None
    os.kill(stopped.process.pid, signal.SIGSTOP)
    began = now()
    # What they held is others' when it has lapsed, and not a slot before.
    taken = []
    while len(taken) < 8 and now() - began < SLOT + LATE:
        for daemon in others:
            taken += open_some(daemon, key, 1)
        assert sum(s.is_open for own in list(streams.values())[4:] for s in own) == 8
        assert len(slots(redis)) <= limit
        sleep(0.3)
    assert len(taken) == 8
    assert now() - began < SLOT + LATE / 2
    assert len(slots(redis)) == limit
    assert not open_some(others[0], key, 1)
    # The one that was stopped wakes with two streams that nobody counts any more, and closes them.
    assert all(stream.is_open for stream in streams[stopped.port])
    os.kill(stopped.process.pid, signal.SIGCONT)
    for stream in streams[stopped.port]:
        stream.ends(within=12 + LATE)
    assert ends(stopped, 2) == ["slot_lost", "slot_lost"]
    assert len(slots(redis)) == limit
    assert all(stream.is_open for stream in taken)
    for stream in [*taken, *(s for own in list(streams.values())[4:] for s in own)]:
        stream.close()
    until(lambda: not redis.names("tg:1:{acme}:c:*"), "all given back")


def test_a_request_that_waits_for_its_answer_without_a_bound_ends_with_its_slot(launch, streaming, key, redis):
    """Its head hasn't been sent, so it is refused: it can be tried again elsewhere."""
    policies = [{"name": "streams", "per": "key", "concurrency": 1}]
    stream, left = streaming.behaviour, threading.Event()

    def serve(request, peer):
        if request.target != "/mcp":
            return stream(request, peer)
        peer.settimeout(120)
        with contextlib.suppress(OSError):
            peer.recv(1)
        left.set()

    streaming.behaviour = serve
    routes = [{"path": "/mcp", "mcp": True}, {"path": "/files/{rest*}"}]
    settings = {"loops": 1, "routes": routes, "policies": policies, "upstream_settings": {"response_timeout": "300ms"}}
    daemon, other = (launch(streaming, **settings) for _ in range(2))
    with Connection(daemon.port, timeout=120) as waiting:
        fields = {"X-API-Key": key, "Accept": "text/event-stream"}
        waiting.send(request_bytes("GET", "/mcp", fields))
        until(lambda: len(slots(redis)) == 1, "the slot")
        taken = []

        def take() -> bool:
            """It may be renewed in between."""
            for name in redis.names("tg:1:{acme}:c:streams:*"):
                redis("DEL", name)
            taken.extend(open_some(other, key, 1))
            return bool(taken)

        until(take, "the slot taken by another")
        answer = waiting.response()
    assert (answer.status, answer["Retry-After"]) == (503, "1")
    assert answer.json()["error"]["message"] == "Too many requests under way: retry in 1 s"
    assert daemon.lines(1)[0]["reason"] == "slot_lost"
    assert left.wait(60)
    assert taken[0].is_open
    taken[0].close()
