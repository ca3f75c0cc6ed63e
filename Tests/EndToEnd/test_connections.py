# SPDX-License-Identifier: Apache-2.0
"""Who gets a connection where there are not enough: those that ask something before those that are idle, and no address
all of them."""

import threading
import time

import pytest
from fixtures.upstream import reply
from fixtures.wire import PATIENCE, Connection, ask, request_bytes, until
from test_answers import problem

#: Loopback is many clients' proxy by default, and has no share then.
NOBODY_IS_TRUSTED = {"trusted_proxies": []}
QUIET = {"log": {"level": "info", "access": "off"}}


def idle(port: int | str, count: int) -> list[Connection]:
    connections = [Connection(port) for _ in range(count)]
    for connection in connections:
        assert connection.request("GET", "/health").status == 200
    return connections


@pytest.mark.parametrize("loops", [1, 2, 4])
def test_idle_connections_make_room_the_oldest_first(launch, upstream, loops):
    daemon = launch(upstream, loops=loops, limits={"connections": 16}, **QUIET)
    kept = idle(daemon.port, 16)
    late = idle(daemon.port, 8)
    # On each loop the oldest: which loop that is on depends on whose turn it was.
    until(lambda: sum(connection.is_readable() for connection in kept) >= 8, "eight of them being closed")
    gone = [connection for connection in kept if connection.is_readable()]
    assert len(gone) == 8 and all(connection.at_end() for connection in gone)
    if loops == 1:
        assert [connection.request("GET", "/health").status for connection in kept[8:]] == [200] * 8
    assert [connection.request("GET", "/health").status for connection in late] == [200] * 8
    assert daemon.times_said("more connections than") == 0


def test_room_is_made_on_another_loop_where_this_one_has_none(launch, upstream):
    daemon = launch(upstream, loops=2, limits={"connections": 4}, **QUIET)
    over = threading.Event()
    upstream.behaviour = lambda *_: over.wait(PATIENCE) and reply(b"ok")
    # They are handed out in turn: all that is idle is on one loop.
    busy, kept = [], []
    for _ in range(2):
        busy.append(Connection(daemon.port))
        busy[-1].send(request_bytes("GET", "/health"))
        kept += [Connection(daemon.port)]
        assert kept[-1].request("GET", "/nowhere").status == 404
    upstream.wait_for(2)
    # The turn is that of the loop whose connections are all busy.
    for _ in range(2):
        assert ask(daemon.port, "GET", "/nowhere").status == 404
    over.set()
    assert [connection.response().status for connection in busy] == [200] * 2
    assert daemon.times_said("more connections than") == 0


def test_loops_share_what_is_free(launch, upstream):
    """A loop may have them all, where the others' clients have left."""
    daemon = launch(upstream, loops=2, limits={"connections": 8}, **QUIET)
    over = threading.Event()
    upstream.behaviour = lambda *_: over.wait(PATIENCE) and reply(b"ok")
    busy = []

    def take_a_turn():
        connection = Connection(daemon.port)
        connection.send(request_bytes("GET", "/health"))
        until(lambda: len(upstream.requests) > len(busy) or connection.is_readable(), "the handler asked, or an answer")
        if len(upstream.requests) > len(busy):
            busy.append(connection)
        else:
            # Turned away: the other loop has yet to see that the client before has left. It was a turn all the same.
            connection.close()

    deadline = time.monotonic() + PATIENCE
    while len(busy) < 8:
        assert time.monotonic() < deadline
        take_a_turn()
        # The other loop's turn, so that all that are busy are on one.
        assert ask(daemon.port, "GET", "/nowhere").status in (404, 503)
    over.set()
    assert [connection.response().status for connection in busy] == [200] * 8


def test_one_address_has_a_quarter(launch, upstream):
    daemon = launch(upstream, limits={"connections": 16}, **NOBODY_IS_TRUSTED)
    kept = idle(daemon.port, 4)
    for _ in range(10):
        with Connection(daemon.port) as connection:
            answer = connection.response()
            problem(answer, 503, "Service Unavailable", "Too many connections", type=answer.json()["type"])
            assert connection.at_end()
    lines = daemon.lines(14)
    assert [line["reason"] for line in lines if line["status"] == 503] == ["connection_share"] * 10
    assert daemon.times_said("more connections of one address than limits.connections_per_address") == 1
    # Another address, though on the same machine.
    with Connection(daemon.port, source="127.0.0.2") as other:
        assert other.request("GET", "/health").status == 200
    kept.pop().close()
    until(lambda: ask(daemon.port, "GET", "/health").status == 200, "room for one")


def test_the_share_may_be_set_and_proxies_have_none(launch, upstream, folder):
    limits = {"connections": 16, "connections_per_address": 1}
    daemon = launch(upstream, limits=limits, **NOBODY_IS_TRUSTED, **QUIET)
    with Connection(daemon.port) as kept:
        assert kept.request("GET", "/health").status == 200
        assert ask(daemon.port, "GET", "/health").status == 503
    trusted = launch(upstream, limits=limits, **QUIET)
    idle(trusted.port, 12)
    path = str(folder / "socket")
    by_path = launch(upstream, limits=limits, listen=f"unix:{path}", **NOBODY_IS_TRUSTED, **QUIET)
    idle(path, 12)
    assert trusted.times_said("more connections") == by_path.times_said("more connections") == 0


def test_whoever_is_turned_away_keeps_no_descriptor(launch, upstream):
    # None ends for having said nothing.
    limits = {"connections": 8, "connections_per_address": 2, "header_timeout": "10m", "idle_timeout": "10m"}
    daemon = launch(upstream, limits=limits, **NOBODY_IS_TRUSTED, **QUIET)
    kept = idle(daemon.port, 2)
    before = daemon.descriptors()
    # They say nothing and take nothing, and don't close.
    strangers = [Connection(daemon.port) for _ in range(500)]
    until(lambda: daemon.descriptors() <= before, "the end of those that were turned away")
    assert [connection.request("GET", "/health").status for connection in kept] == [200] * 2
    for connection in strangers:
        connection.close()
