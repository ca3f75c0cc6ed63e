# SPDX-License-Identifier: Apache-2.0
"""Messages that are read before they are decided about: what of the process' memory one caller may keep with them."""

import contextlib
import json
import socket
import time

import pytest
from fixtures.wire import PATIENCE, Connection, until
from test_mcp_attacks import MCP, head
from test_mcp_messages import HOUR, call, post, remaining

KIB, MIB = 1 << 10, 1 << 20
WIDE = [{**HOUR, "limit": "100000/1h"}]
LARGE = json.dumps({**call("a"), "x": "x" * MIB}).encode()


class Holder:
    """Connections whose messages never end."""

    def __init__(self, port: int, key: str | None, count: int, size: int, *lines: str):
        self.connections = [Connection(port, timeout=60) for _ in range(count)]
        for connection in self.connections:
            # Who is refused may find its connection closed before all is sent.
            with contextlib.suppress(OSError):
                connection.send(head(key, f"Content-Length: {4 * MIB}", *lines) + b'{"x":"' + b"x" * size)

    def refused(self) -> int:
        """How many have an answer."""
        count = 0
        for connection in self.connections:
            connection.socket.setblocking(False)
            with contextlib.suppress(OSError):
                connection.more()
            connection.socket.settimeout(60)
            count += bool(connection.pending)
        return count

    def close(self):
        for connection in self.connections:
            connection.close()


@pytest.fixture
def holders():
    open = []

    def start(*arguments) -> Holder:
        open.append(Holder(*arguments))
        return open[-1]

    yield start
    for holder in open:
        holder.close()


def test_one_key_holds_a_quarter_of_the_room(launch, upstream, ctl, holders):
    holder, colleague, other = ctl.issue()["key"], ctl.issue("acme", "desktop")["key"], ctl.issue("rival")["key"]
    daemon = launch(upstream, routes=MCP, policies=WIDE)
    held = holders(daemon.port, holder, 273, 256 * KIB)
    # The room that a connection's buffers take is counted, so fewer fit than 64.
    until(lambda: held.refused() >= 273 - 64, "what is beyond its share is refused", 60)
    assert held.refused() < 273
    assert {line["reason"] for line in daemon.lines(1)} == {"held_bodies"}
    # Those that aren't refused may have some of theirs still to come.
    refused = None

    def is_full() -> bool:
        nonlocal refused
        refused = post(daemon.port, holder, LARGE)
        return refused.status == 503

    until(is_full, "the share full", 60)
    assert (refused.status, refused["Retry-After"], refused.json()["error"]["code"]) == (503, "1", 50300)
    # What is short needs no room.
    assert post(daemon.port, holder, call("a")).status == 200
    for key in (other, colleague):
        assert post(daemon.port, key, LARGE).status == 200
    # An organization holds half, with all its keys.
    second, third = holders(daemon.port, colleague, 80, 256 * KIB), ctl.issue("acme", "phone")["key"]
    until(lambda: second.refused() >= 80 - 64, "the second key's share", 60)
    assert post(daemon.port, third, LARGE).status == 503
    assert post(daemon.port, other, LARGE).status == 200
    # All of it is gone with the bodies.
    held.close()
    second.close()
    for key in (holder, third):
        until(lambda: post(daemon.port, key, LARGE).status == 200, "room")


def test_strangers_hold_an_eighth_each(launch, upstream, key, holders):
    wide = [*WIDE, {"name": "address", "per": "address", "limit": "100000/1h"}]
    daemon = launch(upstream, routes=[{**MCP[0], "public": True}, {"path": "/keyed", "mcp": True}], policies=wide)
    for number in range(1, 6):
        held = holders(daemon.port, None, 40, 256 * KIB, f"X-Forwarded-For: 192.0.2.{number}")
        # Four have filled the half that all of them have.
        least = 40 - 32 if number < 5 else 40 - 4
        until(lambda: held.refused() >= least, "what is beyond its share is refused", 60)
        assert held.refused() < 40 or number == 5
    for address in ("192.0.2.1", "192.0.2.9"):
        assert post(daemon.port, None, LARGE, {"X-Forwarded-For": address}).status == 503
    assert post(daemon.port, None, call("a")).status == 200
    assert post(daemon.port, key, LARGE, path="/keyed").status == 200


@pytest.mark.parametrize("caller, mebibytes", [("key", 17), ("address", 9)])
def test_a_message_beyond_its_callers_share_is_413(launch, upstream, key, caller, mebibytes):
    """However often it is sent it would not fit."""
    daemon = launch(
        upstream,
        loops=1,
        routes=[{**MCP[0], "public": caller == "address"}],
        policies=[{"name": "all", "per": caller, "limit": "20/1h"}],
        limits={"body_bytes": "32MiB", "mcp_body_bytes": "32MiB"},
    )
    key = key if caller == "key" else None
    with Connection(daemon.port) as connection:
        connection.send(head(key, "Transfer-Encoding: chunked"))
        # The answer may come, and the connection end, before all is sent.
        with contextlib.suppress(OSError):
            for _ in range(mebibytes):
                connection.send(b"%x\r\n%s\r\n" % (MIB, b" " * MIB))
        answer = connection.response()
        assert (answer.status, answer["Connection"]) == (413, "close")
        assert answer.json()["error"]["code"] == 41300
        assert "Retry-After" not in answer
    assert daemon.lines(1)[0]["reason"] == "body_too_large"
    # It was paid for, and its room is free again.
    assert remaining(post(daemon.port, key, LARGE)) == {"all": 18}


def drip(connection: Connection, every: float):
    """An octet now and then, until there is an answer."""
    connection.socket.settimeout(every)
    deadline = time.monotonic() + PATIENCE
    while not connection.pending and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            connection.more()
            continue
        connection.send(b" ")
    connection.socket.settimeout(PATIENCE)


RATES = [
    {"name": "org", "per": "org", "limit": "20/1h", "cost": 5},
    {"name": "month", "per": "key", "quota": "20/month"},
    {"name": "slots", "per": "key", "concurrency": 20},
]


def test_a_message_is_whole_in_time_or_paid_for(launch, upstream, key):
    daemon = launch(upstream, loops=1, routes=MCP, policies=RATES, limits={"body_timeout": "500ms"})
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 15, "month": 19, "slots": 19}
    with Connection(daemon.port) as connection:
        connection.send(head(key, "Content-Length: 4000"))
        drip(connection, 0.05)
        answer = connection.response()
        assert (answer.status, answer.json()["error"]["code"]) == (408, 40800)
        assert connection.at_end()
    assert daemon.lines(2)[1]["reason"] == "request_timeout"
    # One token of each rate, whatever a call costs, and nothing of what isn't a rate.
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 9, "month": 18, "slots": 19}
    assert len(upstream.requests) == 2


def leaves(connection: Connection):
    connection.close()


def closes_its_side(connection: Connection):
    connection.socket.shutdown(socket.SHUT_WR)


def breaks_off(connection: Connection):
    connection.send(b"no chunk\r\n")


def says_nothing(_: Connection):
    pass


@pytest.mark.parametrize("does, status", [(leaves, None), (closes_its_side, None), (breaks_off, 400), (says_nothing, 408)])
def test_every_end_of_a_message_that_took_room_is_paid_for(launch, upstream, key, does, status):
    daemon = launch(upstream, loops=1, routes=MCP, policies=RATES, limits={"idle_timeout": "3s"})
    with Connection(daemon.port) as connection:
        connection.send(head(key, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n" % (MIB, b" " * MIB))
        does(connection)
        if status:
            assert connection.response().status == status
    daemon.lines(1)
    assert remaining(post(daemon.port, key, call("a")))["org"] == 14
    assert len(upstream.requests) == 1


def test_a_message_that_is_refused_for_what_it_is_costs_its_address(launch, upstream, key):
    """As ever: it was read to its end."""
    address = {"name": "address", "per": "address", "applies_to": "all", "limit": "20/1h"}
    daemon = launch(upstream, routes=MCP, policies=[HOUR, address])
    assert post(daemon.port, key, b'[[{"method":"a","id":1}]]').status == 400
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 19, "address": 18}


@pytest.mark.parametrize("routes", [[{**MCP[0], "public": True}], MCP], ids=["public", "anonymous"])
def test_a_strangers_unfinished_message_costs_its_address(launch, upstream, routes):
    keys = {"anonymous": "allow"}
    address = {"name": "address", "per": "address", "limit": "20/1h"}
    daemon = launch(upstream, loops=1, routes=routes, keys=keys, policies=[address], limits={"body_timeout": "300ms"},
                    mcp={"hosts": [], "origins": []})
    with Connection(daemon.port) as connection:
        connection.send(head(None, "Content-Length: 4000") + b"[")
        assert connection.response().status == 408
    assert remaining(post(daemon.port, None, call("a"))) == {"address": 18}


def test_a_message_that_ends_in_time_is_no_late_one(launch, upstream, key):
    """The clock of its body stops with it, however long the handler takes."""
    def late(*_):
        time.sleep(1)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    upstream.behaviour = late
    daemon = launch(upstream, routes=MCP, policies=[HOUR], limits={"body_timeout": "300ms"})
    with Connection(daemon.port) as connection:
        for left in (19, 18):
            body = json.dumps(call("a")).encode()
            connection.send(head(key, f"Content-Length: {len(body)}") + body)
            answer = connection.response()
            assert (answer.status, remaining(answer)) == (200, {"org": left})


def test_a_body_that_is_streamed_may_take_its_time(launch, upstream, key):
    daemon = launch(upstream, routes=[{"path": "/files"}], policies=[HOUR], limits={"body_timeout": "200ms"})
    with Connection(daemon.port) as connection:
        connection.send(f"POST /files HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 6\r\n\r\n".encode())
        for _ in range(6):
            connection.send(b"x")
            time.sleep(0.1)
        assert connection.response().status == 200
