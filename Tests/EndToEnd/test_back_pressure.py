# SPDX-License-Identifier: Apache-2.0
"""Whoever sends requests and reads no answers is read no further, whoever makes the answers."""

import contextlib
import socket
import threading
import time

import pytest
from fixtures.wire import Connection, request_bytes

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
#: No key is good for any of them, and no limit of an address is configured: all are answered here, for nothing.
FREE = {
    "refusals": request_bytes("GET", "/api/listings"),
    "unknown routes": request_bytes("GET", "/nowhere"),
    "preflights": request_bytes(
        "OPTIONS", "/api/listings", {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    ),
    "metadata": request_bytes("GET", "/.well-known/oauth-protected-resource/mcp"),
}
SETTINGS = {
    "policies": WIDE,
    "log": {"level": "info", "access": "off"},
    "cors": {"allow_origins": ["https://app.example.com"]},
    "mcp": {
        "resource_metadata": {
            "resource": "https://api.example.com/mcp",
            "authorization_servers": ["https://auth.example.com"],
        }
    },
}
MOST_GROWTH = 24 << 20


def flood(port: int, request: bytes, over: threading.Event, taken: list[int], reads: bool):
    """Sends without a pause; where it `reads`, a little now and then."""
    batch = request * (65536 // len(request))
    with Connection(port, receive_buffer=4096) as connection:
        connection.socket.setblocking(False)
        at = time.monotonic()
        while not over.is_set():
            try:
                taken[0] += connection.socket.send(batch[taken[0] % len(request) :])
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                return
            if reads and time.monotonic() - at > 0.05:
                at = time.monotonic()
                with contextlib.suppress(BlockingIOError):
                    connection.socket.recv(512)


@pytest.mark.parametrize("reads", [False, True], ids=["takes nothing", "takes a little"])
@pytest.mark.parametrize("kind", FREE)
def test_whoever_takes_no_answers_costs_no_memory(launch, upstream, kind, reads):
    daemon = launch(upstream, **SETTINGS)
    with Connection(daemon.port) as connection:
        connection.send(FREE[kind])
        assert connection.response("OPTIONS").status in (200, 204, 401, 404)
    before, over, taken = daemon.resident(), threading.Event(), [0]
    floods = [
        threading.Thread(target=flood, args=(daemon.port, FREE[kind], over, taken, reads)) for _ in range(8)
    ]
    for thread in floods:
        thread.start()
    try:
        # They are stopped once the buffers on the way are full: while they take nothing, that is for good.
        for _ in range(40):
            time.sleep(0.1)
            assert daemon.resident() - before < MOST_GROWTH
    finally:
        over.set()
        for thread in floods:
            thread.join()
    assert upstream.requests == []


def test_all_requests_sent_ahead_are_answered_in_the_end(launch, upstream):
    """They have waited until their client took something, the last ones longer than its sending side was open."""
    daemon = launch(upstream, **SETTINGS)
    count = 5000
    with Connection(daemon.port, receive_buffer=4096) as connection:
        sender = threading.Thread(
            target=lambda: (
                connection.send(FREE["unknown routes"] * count),
                connection.socket.shutdown(socket.SHUT_WR),
            )
        )
        sender.start()
        time.sleep(0.5)
        assert [connection.response().status for _ in range(count)] == [404] * count
        sender.join()
        assert connection.at_end()
    assert upstream.requests == []
