# SPDX-License-Identifier: Apache-2.0
"""What sidecars count of their callers' calls, and how tollgatectl shows it."""

import json
import threading
import time

import pytest
from fixtures.redis_server import clock, not_at_the_end_of
from fixtures.upstream import reply
from fixtures.wire import PROCESS, Closed, Connection, Stopwatch, Truncated, ask, until
from test_mcp_messages import call, message, post

WIDE = [
    {"name": "org", "per": "org", "limit": "100000/1d"},
    {"name": "tools", "per": "key", "limit": "100000/1d", "match": {"tools": ["*"]}, "cost": {"search": 5, "say:hi": 2}},
]
ANSWER = reply(b'{"jsonrpc":"2.0","id":1,"result":{}}', fields={"Content-Type": "application/json"})


@pytest.fixture(autouse=True)
def one_day(redis):
    """What is counted is of the day that it is looked for in."""
    not_at_the_end_of(86400, clock(redis))


def usage(ctl, *arguments: str) -> dict:
    return json.loads(ctl("usage", *arguments, "--json"))


def rows(ctl, by: str, *arguments: str) -> dict:
    """`{name: (allowed, denied, cost)}`"""
    return {
        row[by]: (row["allowed"], row["denied"], row["cost"])
        for row in usage(ctl, *arguments, "--by", by)["rows"]
        if (row["allowed"], row["denied"], row["cost"]) != (0, 0, 0)
    }


def total(ctl, *arguments: str) -> tuple[int, int, int]:
    found = usage(ctl, *arguments)["total"]
    return found["allowed"], found["denied"], found["cost"]


def becomes(read, expected):
    """Waits for the counters, and says what they were if they never came to it."""
    try:
        until(lambda: read() == expected, "the counters", pause=PROCESS)
    except AssertionError:
        assert read() == expected
        raise


def test_two_sidecars_and_two_keys_are_counted_by_tool_to_the_call(launch, upstream, ctl):
    upstream.behaviour = lambda *_: ANSWER
    daemons = [launch(upstream, policies=WIDE) for _ in range(2)]
    laptop, phone = ctl.issue("acme", "laptop"), ctl.issue("acme", "phone")
    for daemon in daemons:
        for _ in range(7):
            assert post(daemon.port, laptop["key"], call("search")).status == 200
        assert post(daemon.port, laptop["key"], [call("search", 1), call("say:hi", 2), call("made_up", 3)]).status == 200
        assert post(daemon.port, phone["key"], call("say:hi")).status == 200
        assert post(daemon.port, phone["key"], message("tools/list")).status == 200
        assert ask(daemon.port, "GET", "/api/listings", phone["key"]).status == 200
        # Nobody's calls.
        assert ask(daemon.port, "GET", "/api/listings").status == 401
        assert ask(daemon.port, "GET", "/health").status == 200
    # A batch counts for each of its tools with what each costs.
    becomes(
        lambda: rows(ctl, "tool", laptop["id"]),
        {"search": (16, 0, 80), "say:hi": (2, 0, 4), "other": (2, 0, 2)},
    )
    becomes(lambda: rows(ctl, "tool", phone["id"]), {"say:hi": (2, 0, 4), None: (4, 0, 4)})
    becomes(lambda: rows(ctl, "key", "acme"), {laptop["id"]: (20, 0, 86), phone["id"]: (6, 0, 8)})
    assert total(ctl, "acme") == (26, 0, 94)


def test_a_denied_call_is_counted_as_such_and_costs_nothing(launch, upstream, ctl):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "3/1d"}])
    issued = ctl.issue()
    statuses = [ask(daemon.port, "GET", "/api/listings", issued["key"]).status for _ in range(5)]
    assert statuses == [200] * 3 + [429] * 2
    becomes(lambda: total(ctl, issued["id"]), (3, 2, 3))


def test_a_call_that_is_held_is_counted_once(launch, upstream, ctl):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "1/1s", "wait": "30s"}])
    issued = ctl.issue()
    for _ in range(3):
        assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    becomes(lambda: total(ctl, issued["id"]), (3, 0, 3))


def test_what_the_handler_never_got_costs_nothing(launch, ctl, folder):
    daemon = launch("unix:" + str(folder / "nobody.sock"), policies=WIDE)
    issued = ctl.issue()
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 502
    becomes(lambda: total(ctl, issued["id"]), (1, 0, 0))


def test_a_record_says_when_its_key_was_last_used(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=WIDE)
    used, unused = ctl.issue("acme", "used"), ctl.issue("acme", "unused")
    revision = redis("HGET", "tg:1:{acme}", "rev")
    before = int(clock(redis))
    assert ask(daemon.port, "GET", "/api/listings", used["key"]).status == 200
    after = int(clock(redis))
    name = "tg:1:{acme}:k:" + used["id"].split("/")[1]
    until(lambda: redis("HGET", name, "last_used_at") is not None, "the moment of last use")
    # As of the last tick, which on a busy machine is late.
    assert before - 3 <= int(redis("HGET", name, "last_used_at")) <= after
    assert redis("HGET", "tg:1:{acme}:k:" + unused["id"].split("/")[1], "last_used_at") is None
    # Nothing that sidecars remember has changed.
    assert redis("HGET", "tg:1:{acme}", "rev") == revision


def test_made_up_tools_are_one(launch, upstream, ctl, redis):
    upstream.behaviour = lambda *_: ANSWER
    daemon = launch(upstream, policies=WIDE)
    issued = ctl.issue()
    for batch in range(10):
        calls = [call(f"tool_{batch}_{number}" + "x" * 200, number) for number in range(50)]
        assert post(daemon.port, issued["key"], calls).status == 200
    becomes(lambda: rows(ctl, "tool", issued["id"]), {"other": (500, 0, 500)})
    local = issued["id"].split("/")[1].encode()
    for name in redis.names("tg:1:{acme}:u:*"):
        assert set(redis("HKEYS", name)) == {local + b":other:a", local + b":other:c"}
        assert 399 * 86400 < redis("TTL", name) <= 400 * 86400


def test_the_counters_are_kept_as_long_as_configured(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=WIDE, usage_retain="2d")
    issued = ctl.issue()
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    until(lambda: redis.names("tg:1:{acme}:u:*"), "the counters")
    (name,) = redis.names("tg:1:{acme}:u:*")
    assert 86400 < redis("TTL", name) <= 2 * 86400


def test_the_end_of_a_sidecar_loses_nothing(launch, upstream, ctl):
    daemon = launch(upstream, policies=WIDE)
    issued = ctl.issue()
    for _ in range(25):
        assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    daemon.stop()
    # Without waiting: it is written when the process has ended.
    assert total(ctl, issued["id"]) == (25, 0, 25)


def test_a_killed_sidecar_loses_at_most_the_last_second(launch, upstream, ctl):
    daemon = launch(upstream, policies=WIDE)
    issued = ctl.issue()
    ended: list[float] = []
    began, watch = time.monotonic(), Stopwatch()
    stop = threading.Event()

    def go_on():
        with Connection(daemon.port) as connection:
            while not stop.is_set():
                try:
                    answer = connection.request("GET", "/api/listings", {"X-API-Key": issued["key"]})
                except (Closed, Truncated, OSError):
                    return
                assert answer.status == 200
                ended.append(time.monotonic())
                stop.wait(0.02)

    callers = [threading.Thread(target=go_on) for _ in range(2)]
    for caller in callers:
        caller.start()
    until(lambda: total(ctl, issued["id"])[0] > 100, "a hundred calls counted", pause=PROCESS)
    killed = time.monotonic()
    late = killed - began - watch.took()
    daemon.process.kill()
    daemon.process.wait()
    daemon.process = None
    stop.set()
    for caller in callers:
        caller.join()
    allowed, denied, cost = total(ctl, issued["id"])
    assert (denied, cost) == (0, allowed)
    # Each at most once, and half a second and more for a machine that is busy. A call whose answer was lost may be counted.
    assert sum(at < killed - 1.5 - late for at in ended) <= allowed <= len(ended) + len(callers)


def test_counts_wait_for_a_redis_that_is_away(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=WIDE, redis_settings={"on_failure": "open"})
    issued = ctl.issue()
    # On one loop, which has to know the key to serve it without Redis.
    with Connection(daemon.port) as one:
        assert one.request("GET", "/api/listings", {"X-API-Key": issued["key"]}).status == 200
        until(lambda: total(ctl, issued["id"])[0] == 1, "the first call", pause=PROCESS)
        _, _, cost = total(ctl, issued["id"])
        redis.kill()
        for _ in range(20):
            assert one.request("GET", "/api/listings", {"X-API-Key": issued["key"]}).status == 200
        redis.start()
        until(lambda: ask(daemon.admin, "GET", "/readyz").status == 200, "Redis in use again")
        # Uncharged, but counted.
        becomes(lambda: total(ctl, issued["id"]), (21, 0, cost))


def test_it_is_shown_by_day_key_and_tool(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=WIDE)
    issued = ctl.issue()
    for _ in range(12):
        assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    becomes(lambda: total(ctl, "acme"), (12, 0, 12))
    today = time.strftime("%Y-%m-%d", time.gmtime(clock(redis)))
    lines = ctl("usage", "acme").splitlines()
    assert lines[0].split() == ["DAY", "ALLOWED", "DENIED", "COST"]
    assert len(lines) == 9
    assert lines[-1].split() == ["total", "12", "0", "12"]
    assert ctl("usage", "acme", "--by", "key", "--from", today).splitlines()[1].split() == [issued["id"], "12", "0", "12"]
    assert ctl("usage", issued["id"], "--by", "tool").splitlines()[1].split() == ["-", "12", "0", "12"]
    # Another week.
    assert total(ctl, "acme", "--from", "2020-01-01", "--to", "2020-01-07") == (0, 0, 0)
