# SPDX-License-Identifier: Apache-2.0
"""A client over connections that are kept: at a fixed rate whatever is answered, or one call after another."""

import re
import select
import socket
import time
from collections import deque

from .machine import fail
from .security import Security
from .stage import PATH

RATE_CONNECTIONS = 32
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(key: str, path: str = PATH) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n\r\n".encode()


class Connection:
    def __init__(self, port: int, security: Security | None = None):
        self.port = port
        self.read = b""
        #: When the call that is under way was due.
        self.due = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if security:
            self.socket = security.context.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self):
        octets = self.socket.recv(65536)
        if not octets:
            fail(f"port {self.port}: the connection was closed before an answer")
        self.read += octets

    def is_answered(self) -> bool:
        """Whether all of an answer that has a length is read; then it is forgotten."""
        head, end, body = self.read.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200 "):
            fail(f"port {self.port}: a call was answered with {head!r}")
        if len(body) < int(LENGTH.search(head)[1]):
            return False
        self.read = b""
        return True

    def send(self, octets: bytes):
        self.socket.sendall(octets)

    def ask(self, octets: bytes):
        self.send(octets)
        self.wait_for_answer()

    def wait_for_answer(self):
        while not self.is_answered():
            self.receive()

    def wait_for_event(self):
        while b"\n\n" not in self.read.partition(b"\r\n\r\n")[2]:
            self.receive()
        if not self.read.startswith(b"HTTP/1.1 200 "):
            fail(f"port {self.port}: a stream was answered with {self.read!r}")

    def close(self):
        self.socket.close()


def at_rate(port: int, key: str, rate: int, seconds: float) -> list[float]:
    """Microseconds from when a call was due to the end of its answer, sorted. A call waits for a connection that is free, and
    that time counts: what is slow doesn't slow the questions down. What this program takes itself is in all figures, the
    handler's too."""
    octets = request(key)
    free = [Connection(port) for _ in range(RATE_CONNECTIONS)]
    for connection in free:
        connection.ask(octets)
    busy: list[Connection] = []
    waiting: deque[float] = deque()
    took: list[float] = []
    began = time.perf_counter()
    total, planned = round(rate * seconds), 0
    try:
        while len(took) < total:
            now = time.perf_counter()
            while planned < total and began + planned / rate <= now:
                waiting.append(began + planned / rate)
                planned += 1
            while waiting and free:
                connection = free.pop()
                connection.due = waiting.popleft()
                connection.send(octets)
                busy.append(connection)
            until = began + planned / rate - time.perf_counter() if planned < total else 10
            # It sleeps by the microsecond, where epoll does by the millisecond.
            for connection in select.select(busy, [], [], max(0, until))[0]:
                connection.receive()
                if connection.is_answered():
                    took.append((time.perf_counter() - connection.due) * 1e6)
                    busy.remove(connection)
                    free.append(connection)
            if time.perf_counter() > began + seconds + 30:
                fail(f"port {port}: {total - len(took)} of {total} calls at {rate} a second are not answered after 30 s")
    finally:
        for connection in free + busy:
            connection.close()
    return sorted(took)
