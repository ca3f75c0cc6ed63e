# SPDX-License-Identifier: Apache-2.0
"""Policies of every kind, as callers of a running daemon meet them: quotas, slots, shadow, shares, refunds, plans."""

import hashlib
import threading
import time
from contextlib import ExitStack

import pytest
from fixtures.ports import free_port
from fixtures.redis_server import clock, owed
from fixtures.upstream import reply
from fixtures.wire import Connection, Stopwatch, ask, request_bytes, until

PATH = "/api/listings"
HUGE = "1000000/1d"


def get(daemon, key, path=PATH, **rest):
    return ask(daemon.port, "GET", path, key, **rest)


def statuses(daemon, key, count: int) -> list[int]:
    return [get(daemon, key).status for _ in range(count)]


def left(answer) -> dict[str, int]:
    """`{policy: r}` of a RateLimit field."""
    items = (item.split(";") for item in answer["RateLimit"].split(", "))
    return {item[0].strip('"'): int(item[1].removeprefix("r=")) for item in items}


def window_end(redis, unit: str) -> int:
    """Of the hour or day that Redis' clock is in, in Unix seconds."""
    size = {"hour": 3600, "day": 86400}[unit]
    return (int(clock(redis)) // size + 1) * size


# ---- Quotas ----------------------------------------------------------------------------------------------------------


def test_a_quota_is_used_up_and_says_when_it_begins_anew(launch, upstream, key, redis):
    daemon = launch(upstream, policies=[{"name": "hourly", "per": "org", "quota": "3/hour"}])
    end = window_end(redis, "hour")
    answer = get(daemon, key)
    assert answer.status == 200
    assert answer["RateLimit-Policy"].split(", ")[0] == '"hourly";q=3;w=3600'
    assert answer.limits() == (3, 2)
    assert int(answer["X-RateLimit-Reset"]) == end
    assert statuses(daemon, key, 2) == [200, 200]
    for _ in range(3):
        before = clock(redis)
        denied = get(daemon, key)
        after = clock(redis)
        assert denied.status == 429
        assert denied.limits() == (3, 0)
        assert int(denied["X-RateLimit-Reset"]) == end
        wait = int(denied["Retry-After"])
        # A loop may go by what it was told a second ago.
        assert end - after - 1 <= wait <= end - before + 2
        assert denied["RateLimit"] == f'"hourly";r=0;t={wait}'
        assert denied.json()["violated-policies"] == ["hourly"]
    (name,) = redis.names("tg:1:{acme}:q:*")
    assert redis("GET", name) == b"3"
    # Kept an hour longer than its window: a clock that goes back must not give it twice.
    assert 3600 <= redis("TTL", name) <= 7200


def test_a_quota_begins_anew_with_its_window(launch, upstream, key, redis):
    """The counter's name says which window it is of: an older name is a window that has passed."""
    daemon = launch(upstream, policies=[{"name": "hourly", "per": "key", "quota": "1/hour"}])
    assert statuses(daemon, key, 2) == [200, 429]
    (name,) = redis.names("tg:1:{acme}:q:hourly:*")
    stamp = time.strftime("%Y%m%d%H", time.gmtime(clock(redis)))
    assert name.endswith(f":{stamp}")
    redis("RENAME", name, name.removesuffix(stamp) + "2020010100")
    until(lambda: get(daemon, key).status == 200, "the next window's first call")


def test_a_cost_counts_in_a_quota_and_all_policies_or_none_pay(launch, upstream, key, redis):
    daemon = launch(
        upstream,
        policies=[
            {"name": "daily", "per": "org", "quota": "10/day", "cost": 4},
            {"name": "key", "per": "key", "limit": "1000/1d"},
        ],
    )
    assert left(get(daemon, key)) == {"daily": 6, "key": 999}
    assert left(get(daemon, key)) == {"daily": 2, "key": 998}
    denied = get(daemon, key)
    assert denied.status == 429
    # Two are left, which is too few; nothing was taken of the other.
    assert denied.limits() == (10, 2)
    assert left(denied) == {"daily": 0, "key": 998}


# ---- Slots -----------------------------------------------------------------------------------------------------------


class Held:
    """Requests that the handler answers when told to."""

    def __init__(self, upstream):
        self.gate = threading.Event()
        upstream.behaviour = self.answer

    def answer(self, request, _):
        if request.target == PATH:
            assert self.gate.wait(60)
        return reply()


def test_slots_are_taken_and_given_back(launch, upstream, key, redis):
    held = Held(upstream)
    daemon = launch(upstream, policies=[{"name": "calls", "per": "key", "concurrency": 2}])
    with ExitStack() as stack:
        first, second = (stack.enter_context(Connection(daemon.port)) for _ in range(2))
        for connection in (first, second):
            connection.send(request_bytes("GET", PATH, {"X-API-Key": key}))
        upstream_has = lambda count: len(redis("ZRANGE", slots, 0, -1)) == count  # noqa: E731
        slots = until(lambda: next(iter(redis.names("tg:1:{acme}:c:calls:*")), None), "a set of slots")
        until(lambda: upstream_has(2), "two slots")
        before = clock(redis)
        denied = get(daemon, key, "/api/listings/7")
        assert denied.status == 429
        assert denied["Retry-After"] == "1"
        assert denied.limits() == (2, 0)
        assert before - 1 <= int(denied["X-RateLimit-Reset"]) - 1 <= clock(redis) + 1
        assert denied["RateLimit-Policy"] == '"calls";q=2;qu="concurrent-requests"'
        assert denied["RateLimit"] == '"calls";r=0'
        held.gate.set()
        answers = [first.response(), second.response()]
        assert [answer.status for answer in answers] == [200, 200]
        # No time, so no X- fields; and what was free when each began.
        assert all("X-RateLimit-Limit" not in answer for answer in answers)
        assert {answer["RateLimit"] for answer in answers} == {'"calls";r=1', '"calls";r=0'}
        until(lambda: redis.names("tg:1:{acme}:c:*") == set(), "the slots given back")
        until(lambda: get(daemon, key).status == 200, "room again")


def test_a_caller_that_leaves_gives_its_slot_back(launch, upstream, key, redis):
    held = Held(upstream)
    daemon = launch(upstream, policies=[{"name": "calls", "per": "key", "concurrency": 1}])
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", PATH, {"X-API-Key": key, "Accept": "text/event-stream"}))
        until(lambda: redis.names("tg:1:{acme}:c:*"), "a slot")
    until(lambda: not redis.names("tg:1:{acme}:c:*"), "the slot given back")
    held.gate.set()


def test_a_ceiling_for_all_protects_the_handler(launch, upstream, ctl, redis):
    """Over two sidecars and two organizations no more than the ceiling is ever under way."""
    most, now, lock = [0], [0], threading.Lock()

    def behaviour(_, __):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return reply()

    upstream.behaviour = behaviour
    policies = [{"name": "ceiling", "per": "global", "concurrency": 3}]
    daemons = [launch(upstream, policies=policies) for _ in range(2)]
    keys = [ctl.issue(name)["key"] for name in ("acme", "other")]
    seen = []

    def hammer(daemon, key):
        with Connection(daemon.port) as connection:
            for _ in range(40):
                seen.append(connection.request("GET", PATH, {"X-API-Key": key}).status)

    threads = [threading.Thread(target=hammer, args=(d, k)) for d in daemons for k in keys for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {200, 429}
    assert most[0] <= 3
    until(lambda: redis.names("tg:1:{:g}:c:*") == set(), "all given back")


def test_free_messages_take_slots_too(launch, upstream, key, redis):
    """A GET stream of MCP costs no token, but is one of the streams."""
    upstream.behaviour = lambda request, peer: stream(peer)
    daemon = launch(
        upstream,
        policies=[
            {"name": "streams", "per": "key", "concurrency": 1, "match": {"methods": ["GET"]}},
            {"name": "org", "per": "org", "limit": "5/1d"},
        ],
    )
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", "/mcp", {"X-API-Key": key, "Accept": "text/event-stream"}))
        head = connection.head()
        assert head.status == 200
        assert left(head) == {"streams": 0, "org": 5, "open-streams": 99}
        again = ask(daemon.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream"})
        assert again.status == 429
    until(lambda: not redis.names("tg:1:{acme}:c:*"), "the slot given back")


def stream(peer) -> None:
    """The head of an event stream and one event; then the connection stays until the other side leaves it."""
    peer.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"9\r\ndata: 1\n\n\r\n"
    )
    peer.settimeout(60)
    peer.recv(1)


# ---- Shadow and shares -----------------------------------------------------------------------------------------------


def test_a_shadow_limit_denies_nobody_shows_nowhere_and_counts(launch, upstream, key, redis):
    daemon = launch(
        upstream,
        policies=[
            {"name": "tight", "per": "key", "limit": "2/1d", "mode": "shadow"},
            {"name": "monthly", "per": "org", "quota": "1/month", "mode": "shadow"},
            {"name": "slots", "per": "org", "concurrency": 0, "mode": "shadow"},
            {"name": "org", "per": "org", "limit": "5/1d"},
        ],
    )
    answers = [get(daemon, key) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    for answer in answers:
        for field in ("RateLimit", "RateLimit-Policy"):
            assert [item.split(";")[0] for item in answer[field].split(", ")] == ['"org"']
    assert answers[5].json()["violated-policies"] == ["org"]
    # Charged as far as they would have admitted: two of a day, and one of the month.
    (bucket,) = redis.names("tg:1:{acme}:b:tight:*")
    assert 1.99 < owed(redis, bucket) <= 2
    (quota,) = redis.names("tg:1:{acme}:q:monthly:*")
    assert redis("GET", quota) == b"1"


def place(key_id: str) -> float:
    """Where a key stands among all subjects of the policy `tight`, from 0 to 1."""
    digest = hashlib.sha256(f"tight:{key_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def test_a_share_is_enforced_on_the_same_subjects_everywhere(launch, upstream, ctl):
    keys = {}
    for org in range(4):
        for number in range(5):
            issued = ctl.issue(f"org{org}", f"k{number}")
            keys[issued["id"]] = issued["key"]
    before = set()
    for share in ("0%", "12.5%", "60%", "100%"):
        daemon = launch(
            upstream,
            policies=[
                {"name": "tight", "per": "key", "limit": "1/1d", "mode": share},
                {"name": "org", "per": "org", "limit": HUGE},
            ],
        )
        enforced = {name for name, key in keys.items() if "tight" in left(get(daemon, key))}
        assert enforced == {name for name in keys if place(name) < float(share.strip("%")) / 100}
        # A larger share adds some and lets go of none.
        assert before <= enforced
        before = enforced
    assert before == set(keys)


# ---- What can't be had -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [{"limit": "0/1s"}, {"quota": "0/day"}, {"concurrency": 0}], ids=str)
def test_an_allowance_of_nothing_lets_nothing_through_and_says_so(launch, upstream, key, policy):
    daemon = launch(upstream, policies=[{"name": "none", "per": "key", **policy}])
    for _ in range(2):
        denied = get(daemon, key)
        assert denied.status == 403
        assert denied.json()["detail"] == "Cost 1 exceeds the capacity 0 of policy none"
        assert "Retry-After" not in denied
    assert upstream.requests == []


def test_an_override_below_the_cost_is_explained(launch, upstream, ctl):
    daemon = launch(upstream, policies=[{"name": "search", "per": "key", "limit": "9/1d", "cost": 3}])
    key = ctl.issue("acme", "small", "--limit", "search=2/1d")["key"]
    denied = get(daemon, key)
    assert denied.status == 403
    assert denied.json()["detail"] == "Cost 3 exceeds the capacity 2 of policy search"


# ---- Refunds and costs told afterwards -------------------------------------------------------------------------------

SLOW = [{"name": "org", "per": "org", "limit": "10/1d"}]


def test_what_the_sidecar_could_not_deliver_is_given_back(launch, key, redis):
    """Nobody listens there: 502, and not a token is gone, however often."""
    daemon = launch(f"http://127.0.0.1:{free_port()}", policies=SLOW)
    for _ in range(15):
        answer = get(daemon, key)
        assert answer.status == 502
        # The answer says what was true when it was admitted.
        assert answer.limits() == (10, 9)
        until(lambda: not redis.names("tg:1:{acme}:b:org"), "the refund")


def test_what_the_handler_answered_is_paid_whatever_it_was(launch, upstream, key):
    upstream.behaviour = lambda *_: reply(status="500 Internal Server Error")
    daemon = launch(upstream, policies=SLOW)
    assert [get(daemon, key).limits()[1] for _ in range(3)] == [9, 8, 7]
    # It took the request and died over it: nobody knows what it did.
    upstream.behaviour = lambda *_: None
    assert get(daemon, key).status == 502
    upstream.behaviour = lambda *_: reply()
    assert get(daemon, key).limits() == (10, 5)


def test_charge_on_gives_back_what_was_answered_otherwise(launch, upstream, key, redis):
    policies = [
        {"name": "good", "per": "key", "limit": "10/1d", "charge_on": ["2xx", 404]},
        {"name": "daily", "per": "org", "quota": "10/day", "charge_on": ["2xx"]},
        {"name": "all", "per": "org", "limit": "10/1d"},
    ]
    daemon = launch(upstream, policies=policies)
    for status in ("500 Internal Server Error", "404 Not Found", "302 Found"):
        upstream.behaviour = lambda *_, status=status: reply(status=status)
        get(daemon, key)
    upstream.behaviour = lambda *_: reply()
    # Refunds aren't waited for.
    until(lambda: redis("GET", next(iter(redis.names("tg:1:{acme}:q:*")))) == b"0", "the refunds")
    assert left(get(daemon, key)) == {"good": 8, "daily": 9, "all": 6}


def test_the_handler_may_say_what_a_request_has_cost(launch, upstream, key, redis):
    policies = [
        {"name": "work", "per": "key", "limit": "10/1d", "cost_header": "X-Tollgate-Cost"},
        {"name": "daily", "per": "org", "quota": "100/day", "cost_header": "X-Tollgate-Cost", "cost": 2},
        {"name": "calls", "per": "org", "limit": "100/1d"},
    ]
    daemon = launch(upstream, policies=policies)
    costs = {"0": (10, 100), "3": (7, 97), "1": (6, 96)}
    for cost, (work, daily) in costs.items():
        upstream.behaviour = lambda *_, cost=cost: reply(fields={"x-tollgate-cost": cost})
        answer = get(daemon, key)
        assert answer.status == 200
        assert "X-Tollgate-Cost" not in answer
        until(lambda: used(redis) == 100 - daily, f"the cost {cost}")
    for nonsense in ("-1", "1.5", "many", "", "9" * 16):
        upstream.behaviour = lambda *_, cost=nonsense: reply(fields={"X-Tollgate-Cost": cost})
        assert "X-Tollgate-Cost" not in get(daemon, key)
    upstream.behaviour = lambda *_: reply()
    # Five times what was foreseen, and this one.
    assert left(get(daemon, key)) == {"work": 0, "daily": 100 - 4 - 12, "calls": 91}
    assert daemon.times_said("the handler reports costs that are no whole numbers") == 1


def used(redis) -> int:
    return int(redis("GET", next(iter(redis.names("tg:1:{acme}:q:*")))))


def test_a_debt_is_at_most_one_capacity_and_is_paid_off_before_the_next_call(launch, upstream, key, redis):
    daemon = launch(
        upstream, policies=[{"name": "work", "per": "key", "limit": "10/10s", "cost_header": "X-Tollgate-Cost"}]
    )
    upstream.behaviour = lambda *_: reply(fields={"X-Tollgate-Cost": "1000000"})
    began = time.monotonic()
    assert get(daemon, key).status == 200
    (bucket,) = redis.names("tg:1:{acme}:b:work:*")

    until(lambda: owed(redis, bucket) > 15, "the debt")
    assert owed(redis, bucket) <= 20
    denied = get(daemon, key)
    assert denied.status == 429
    # Ten tokens of debt at a token a second, and one to call with.
    assert 10 - (time.monotonic() - began) <= int(denied["Retry-After"]) <= 11
    assert denied.limits() == (10, 0)


# ---- Plans -----------------------------------------------------------------------------------------------------------


def plan(redis, name: str, limits: str):
    redis("HSET", f"tg:1:{{:m}}:plan:{name}", "limits", limits)
    redis("SET", "tg:1:{:m}:plans", str(time.monotonic_ns()))


def test_a_plan_gives_numbers_and_its_change_reaches_every_sidecar_within_two_seconds(launch, upstream, ctl, redis):
    policies = [
        {"name": "org", "per": "org", "limit": "10/1d"},
        {"name": "search", "per": "key", "limit": "10/1d"},
        {"name": "monthly", "per": "org", "quota": "10/month"},
        {"name": "streams", "per": "key", "concurrency": 10},
    ]
    daemons = [launch(upstream, policies=policies) for _ in range(2)]
    key = ctl.issue()["key"]
    plan(redis, "pro", "org=100/1d search=50/1d monthly=500/month streams=20 nonesuch=1/s")
    redis("HSET", "tg:1:{acme}", "plan", "pro", "limits", "search=60/1d", "rev", "0123456789abcdef")

    def capacities(daemon) -> dict[str, int]:
        items = get(daemon, key)["RateLimit-Policy"].split(", ")
        return {item.split(";")[0].strip('"'): int(item.split(";")[1].removeprefix("q=")) for item in items}

    for daemon in daemons:
        # An organization's own before its plan's, effective on the next request.
        assert capacities(daemon) == {"org": 100, "search": 60, "monthly": 500, "streams": 20}
    plan(redis, "pro", "org=200/1d streams=30")
    watch = Stopwatch()
    for daemon in daemons:
        wanted = {"org": 200, "search": 60, "monthly": 10, "streams": 30}
        until(lambda: capacities(daemon) == wanted, "the changed plan")  # noqa: B023
    assert watch.took() < 2.5
    # A plan that isn't there is none.
    redis("HSET", "tg:1:{acme}", "plan", "gone", "rev", "0123456789abcdee")
    assert capacities(daemons[0]) == {"org": 10, "search": 60, "monthly": 10, "streams": 10}
    until(lambda: daemons[0].times_said("no such plan") >= 1, "the log's word")
