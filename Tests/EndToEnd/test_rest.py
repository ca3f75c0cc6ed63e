# SPDX-License-Identifier: Apache-2.0
"""A daemon that nobody is connected to hardly wakes, and is as punctual as ever when somebody comes."""

import time
from pathlib import Path

from fixtures.wire import Connection, ask, until

#: Wakes a second. A loop that ticks as usual has a hundred; at rest one, and those for what it asks of Redis now and then.
RESTING = 20


def wakes(daemon) -> int:
    """How often its threads have gone to sleep, in all."""
    tasks = Path(f"/proc/{daemon.process.pid}/task").iterdir()
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def wakes_a_second(daemon, seconds: float = 2) -> float:
    before, began = wakes(daemon), time.monotonic()
    time.sleep(seconds)
    return (wakes(daemon) - before) / (time.monotonic() - began)


def rests(daemon) -> bool:
    return wakes_a_second(daemon) < RESTING


def test_it_rests_when_nobody_is_connected(launch, upstream, key):
    daemon = launch(upstream, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    until(lambda: rests(daemon), "a rest", 60)
    with Connection(daemon.port) as connection:
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        until(lambda: not rests(daemon), "it being awake", 60)
    until(lambda: rests(daemon), "a rest after the last one has left", 60)


def test_a_deadline_is_kept_by_one_that_has_rested(launch, upstream, key):
    daemon = launch(upstream, loops=1, limits={"header_timeout": "1s"})
    until(lambda: rests(daemon), "a rest", 60)
    began = time.monotonic()
    with Connection(daemon.port) as connection:
        connection.send(b"GET /api/listings HTTP/1.1\r\nHost:")
        assert connection.response().status == 408
        # Not by the clock of the last tick, up to a second ago.
        assert time.monotonic() - began > 0.9


def test_redis_is_found_again_by_one_that_rests(launch, upstream, key, redis):
    daemon = launch(upstream, loops=1)
    until(lambda: rests(daemon), "a rest", 60)
    redis.kill()
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "the loss of Redis being seen")
    redis.start()
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 200, "Redis being found again")
    until(lambda: rests(daemon), "a rest", 60)
    daemon.terminate()
    assert daemon.wait() == 0
