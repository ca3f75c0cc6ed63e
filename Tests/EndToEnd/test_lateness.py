# SPDX-License-Identifier: Apache-2.0
"""A Redis that is slow, and a daemon that is late itself (docs/design.md, "Without Redis")."""

import re
import signal
import threading
import time
from contextlib import ExitStack

import pytest
from fixtures.redis_relay import RedisRelay
from fixtures.upstream import reply
from fixtures.wire import Connection, Stopwatch, ask, request_bytes, until

ORG = [{"name": "org", "per": "org", "limit": "20000/7d"}]


@pytest.fixture
def relay(folder, redis):
    between = RedisRelay(folder / "relay.sock", redis.path)
    yield between
    between.close()


def charged(port: int, key: str) -> int:
    """Tokens that were taken before this call."""
    capacity, left = ask(port, "GET", "/api/listings", key).limits()
    return capacity - left - 1


# ---- Its own lateness ------------------------------------------------------------------------------------------------


class Stopping:
    """The daemon stands still for one part of each period, as under a CPU quota."""

    def __init__(self, daemon, still: float, period: float):
        self.process, self.still, self.period = daemon.process, still, period
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(self.period - self.still):
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(self.still)
            self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def hammer(daemon, key: str, seconds: float, callers: int = 4) -> list[int]:
    statuses: list[int] = []
    end = time.monotonic() + seconds

    def call():
        with Connection(daemon.port) as connection:
            while time.monotonic() < end:
                statuses.append(connection.request("GET", "/api/listings", {"X-API-Key": key}).status)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


@pytest.mark.parametrize("budget, still, period", [("250ms", 0.06, 0.2), ("250ms", 0.35, 0.8)])
def test_who_is_stopped_blames_nobody(launch, upstream, key, budget, still, period):
    daemon = launch(upstream, loops=1, policies=ORG, redis_settings={"timeout": budget})
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    with Stopping(daemon, still, period):
        statuses = hammer(daemon, key, 5)
    assert set(statuses) <= {200, 503}
    assert statuses.count(503) <= len(statuses) * 0.02
    assert len(re.findall(r"^\S+ (?:warning|error) .*redis", daemon.said(), re.MULTILINE)) <= 3
    served = statuses.count(200)

    def is_settled() -> bool:
        nonlocal served
        served += 1
        return charged(daemon.port, key) == served

    # What was refused is given back a moment later.
    until(is_settled, "the last correction")


def pause_while_asking(daemon, keys: list[str]) -> list[int]:
    """Three requests at a time are under way when it is stopped."""
    connections = [Connection(daemon.port) for _ in range(3)]
    statuses = []
    for start in range(0, len(keys), 3):
        for connection, key in zip(connections, keys[start:]):
            connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        daemon.process.send_signal(signal.SIGCONT)
        statuses += [connection.response().status for connection in connections]
    for connection in connections:
        connection.close()
    return statuses


def test_twenty_pauses_refuse_nobody(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=ORG, redis_settings={"timeout": "250ms"})
    assert pause_while_asking(daemon, [key] * 60) == [200] * 60
    assert charged(daemon.port, key) == 60


def test_open_admits_no_more_for_a_pause(launch, upstream, ctl):
    policies = [{"name": "key", "per": "key", "limit": "1/7d"}]
    daemon = launch(upstream, loops=1, policies=policies, redis_settings={"timeout": "250ms", "on_failure": "open"})
    keys = [ctl.issue(f"org{number}", f"key{place}")["key"] for number in range(6) for place in range(5)]
    assert [ask(daemon.port, "GET", "/api/listings", key).status for key in keys] == [200] * 30
    # None of these is refused from memory.
    assert pause_while_asking(daemon, keys) == [429] * 30


def pause(daemon, seconds: float, meanwhile=lambda: None):
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        meanwhile()
        time.sleep(seconds)
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_an_answer_that_came_during_a_pause_is_in_time(launch, upstream, key):
    came, answers = threading.Event(), threading.Event()

    def wait(*_):
        came.set()
        assert answers.wait(30)
        return reply(b"ok")

    upstream.behaviour = wait
    daemon = launch(upstream, loops=1, policies=ORG, upstream_settings={"response_timeout": "3s"})
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        assert came.wait(30)
        pause(daemon, 4.5, answers.set)
        assert connection.response().status == 200


def test_who_connects_during_a_pause_has_its_time(launch, upstream, ctl):
    """More of them than the loop hears of at once; wherever the pause meets them."""
    keys = [ctl.issue(f"org{number}", f"key{place}")["key"] for number in range(4) for place in range(4)]
    daemon = launch(upstream, loops=1, policies=ORG, upstream_settings={"idle_timeout": "1s"})
    assert [ask(daemon.port, "GET", "/api/listings", key).status for key in keys] == [200] * len(keys)
    for lag in (0.005, 0.01, 0.02, 0.04):
        with ExitStack() as stack:
            connections = [stack.enter_context(Connection(daemon.port)) for _ in range(200)]

            def send():
                for number, connection in enumerate(connections):
                    connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": keys[number % len(keys)]}))

            pause(daemon, 0, send)
            time.sleep(lag)
            # Longer than a connection to the handler may take.
            pause(daemon, 1.5)
            assert [connection.response().status for connection in connections] == [200] * len(connections)
        # Each begins without connections to the handler.
        until(lambda: upstream.open == 0, "an end of what is idle")


def test_a_head_that_came_during_a_pause_is_in_time(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=ORG, limits={"header_timeout": "3s"})
    head = request_bytes("GET", "/api/listings", {"X-API-Key": key})
    with Connection(daemon.port) as connection:
        connection.send(head[:20])
        # The loop that answers this has read the other before.
        assert ask(daemon.port, "GET", "/health").status == 200
        pause(daemon, 4.5, lambda: connection.send(head[20:]))
        assert connection.response().status == 200


def test_who_takes_nothing_during_a_pause_has_not_stalled(launch, upstream, key):
    body = b"x" * (8 << 20)
    upstream.behaviour = lambda *_: reply(body)
    daemon = launch(upstream, loops=1, policies=ORG, limits={"stall_timeout": "6s"})
    with Connection(daemon.port, receive_buffer=4096) as connection:
        connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        assert connection.more()
        # It has been looked at once; once or twice more before it takes the rest.
        time.sleep(1.1)
        pause(daemon, 7)
        time.sleep(1.1)
        answer = connection.response()
        assert (answer.status, len(answer.body)) == (200, len(body))


# ---- A slow Redis ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget, trip", [("1s", 0.03), ("3s", 1.2)])
def test_a_cold_key_has_the_budget_for_each_question(launch, upstream, key, relay, budget, trip):
    daemon = launch(upstream, loops=1, redis_url=relay.url, policies=ORG, redis_settings={"timeout": budget})
    relay.delay = lambda command: trip
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200


def test_a_request_waits_at_most_twice_the_budget(launch, upstream, key, relay):
    """Each of its three questions is answered within the budget, but all of them are not within two."""
    # Where a busy machine holds up the daemon, that isn't held against Redis: then another, cold one is asked.
    for _ in range(3):
        relay.delay = lambda command: 0
        daemon = launch(upstream, loops=1, redis_url=relay.url, policies=ORG, redis_settings={"timeout": "1s"})
        relay.delay = lambda command: 0.9
        began, watch = time.monotonic(), Stopwatch()
        refused = ask(daemon.port, "GET", "/api/listings", key)
        took, ours = time.monotonic() - began, watch.took()
        if refused.status == 503 or took - ours < 0.1:
            break
    assert (refused.status, refused["Retry-After"]) == (503, "1")
    # Three times 0.9 would be 2.7, and three budgets 3.
    assert 1.9 < took and ours < 2.6


def test_late_answers_give_back_what_they_took(launch, upstream, key, relay):
    daemon = launch(upstream, loops=1, redis_url=relay.url, policies=ORG, redis_settings={"timeout": "250ms"})
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    is_slow = False

    def once(command: bytes) -> float:
        nonlocal is_slow
        if not is_slow or b"}:b:org" not in command:
            return 0
        is_slow = False
        return 0.5

    relay.delay = once
    statuses = []
    # A busy machine may be late by itself, and one that reads late finds an answer in time.
    while statuses[::2].count(503) < 15 or statuses[1::2].count(200) < 15:
        assert len(statuses) < 100, statuses
        is_slow = len(statuses) % 2 == 0
        statuses.append(ask(daemon.port, "GET", "/api/listings", key).status)
        # What is asked next would wait behind the late one.
        until(lambda: relay.owed == 0, "the late answer")
    served = statuses.count(200) + 1

    def is_settled() -> bool:
        nonlocal served
        served += 1
        # What has leaked of a late one meanwhile isn't given back.
        return charged(daemon.port, key) - (served - 1) in (0, 1)

    until(is_settled, "the last correction")


def test_an_absent_redis_is_answered_for_at_once(launch, redis, upstream, key):
    """However long a question may take."""
    daemon = launch(upstream, loops=1, policies=ORG, redis_settings={"timeout": "10s"})
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.kill()
    for _ in range(5):
        began = time.monotonic()
        assert ask(daemon.port, "GET", "/api/listings", key).status == 503
        assert time.monotonic() - began < 5


# ---- Junk ------------------------------------------------------------------------------------------------------------


def test_junk_from_ten_addresses_costs_good_keys_nothing(launch, upstream, ctl):
    # Without a policy for addresses it is the look-ups alone that bound junk.
    daemon = launch(upstream, loops=1, policies=ORG)
    keys = [ctl.issue(f"org{number}", f"key{place}")["key"] for number in range(4) for place in range(5)]
    over = threading.Event()
    junk: list[int] = []

    def send_junk(number: int):
        with Connection(daemon.port) as connection:
            count = 0
            while not over.is_set():
                count += 1
                fields = {
                    "X-API-Key": f"mcp_{number:02}{count:041}",
                    "X-Forwarded-For": f"198.51.{100 + number}.7",
                }
                junk.append(connection.request("GET", "/api/listings", fields).status)

    threads = [threading.Thread(target=send_junk, args=(number,)) for number in range(10)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(junk) > 400, "junk", 30)
        statuses = [
            ask(daemon.port, "GET", "/api/listings", key, fields={"X-Forwarded-For": "203.0.113.9"}).status
            for key in keys
        ]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    seconds = time.monotonic() - began
    assert statuses == [200] * 20
    assert set(junk) <= {401, 503}
    assert junk.count(401) <= 2000 * (1 + seconds)


def test_a_hundred_good_keys_at_once_after_a_start(launch, upstream, ctl):
    for number in range(4):
        ctl("org", "create", f"org{number}", "--max-active-keys", "25")
    keys = [ctl.issue(f"org{number}", f"key{place}")["key"] for number in range(4) for place in range(25)]
    # A busy machine takes its time to connect to the handler a hundred times.
    daemon = launch(upstream, loops=1, policies=ORG, upstream_settings={"connect_timeout": "30s"})
    connections = [Connection(daemon.port) for _ in keys]
    for connection, key in zip(connections, keys):
        connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
    assert [connection.response().status for connection in connections] == [200] * 100
