# SPDX-License-Identifier: Apache-2.0
"""What becomes of requests without Redis: for all, by route and by policy, and what `local` gives beside a Redis that comes
and goes (docs/rate-limits.md, "Without Redis")."""

import time

import pytest
from fixtures.wire import Connection, ask, until
from test_chaos_redis import Callers
from test_metrics import value
from test_redis import unavailable

ROUTES = [
    {"path": "/status", "on_failure": "open"},
    {"path": "/api/listings", "on_failure": "local"},
    {"path": "/payments", "on_failure": "closed"},
    {"path": "/other"},
]


def statuses(daemon, key: str, path: str, count: int = 4) -> list[int]:
    with Connection(daemon.port) as connection:
        return [connection.request("GET", path, {"X-API-Key": key}).status for _ in range(count)]


@pytest.mark.parametrize("everywhere, other", [("closed", [503] * 4), ("open", [200] * 4), ("local", [200, 200, 429, 429])])
def test_each_route_goes_by_its_own_word(launch, redis, upstream, key, everywhere, other):
    daemon = launch(
        upstream,
        loops=1,
        routes=ROUTES,
        # For each route, so that one leaves the others their tokens.
        policies=[
            {"name": route["path"][1:].replace("/", "-"), "per": "org", "limit": "4/1h", "match": {"routes": [route["path"]]}}
            for route in ROUTES
        ],
        redis_settings={"on_failure": everywhere, "local_share": 0.5},
    )
    # So that the key is known.
    assert ask(daemon.port, "GET", "/status", key).status == 200
    redis.kill()
    until(lambda: ask(daemon.admin, "GET", "/readyz").json()["status"] != "ready", "the outage being told")
    assert statuses(daemon, key, "/status") == [200] * 4
    assert statuses(daemon, key, "/api/listings") == [200, 200, 429, 429]
    assert statuses(daemon, key, "/payments") == [503] * 4
    unavailable(ask(daemon.port, "GET", "/payments", key))
    assert statuses(daemon, key, "/other") == other
    # Authentication never fails open.
    unavailable(ask(daemon.port, "GET", "/status", "mcp_" + "x" * 43))
    # Some are served, so nobody takes it out of service.
    ready = ask(daemon.admin, "GET", "/readyz")
    assert (ready.status, ready.json()["status"], ready.json()["reason"]) == (200, "degraded", "unreachable")


def test_a_policy_that_is_closed_refuses_what_it_counts(launch, redis, upstream, key):
    daemon = launch(
        upstream,
        loops=1,
        routes=[{"path": "/api/listings"}, {"path": "/payments"}],
        policies=[
            {"name": "fair", "per": "org", "limit": "100/1h"},
            {"name": "billed", "per": "org", "quota": "9/month", "on_failure": "closed", "match": {"routes": ["/payments"]}},
        ],
        redis_settings={"on_failure": "open"},
    )
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.kill()
    until(lambda: ask(daemon.port, "GET", "/payments", key).status == 503, "the outage")
    assert statuses(daemon, key, "/api/listings") == [200] * 4
    unavailable(ask(daemon.port, "GET", "/payments", key))


def test_who_serves_nobody_is_not_ready(launch, redis, upstream, key):
    """One policy that is open beside one that isn't opens nothing."""
    policies = [
        {"name": "fair", "per": "org", "limit": "100/1h", "on_failure": "open"},
        {"name": "all", "per": "org", "limit": "200/1h"},
    ]
    daemon = launch(upstream, loops=1, policies=policies)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.kill()
    until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 503, "the outage")
    ready = ask(daemon.admin, "GET", "/readyz")
    assert (ready.status, ready.json()["status"]) == (503, "redis unavailable")



def test_what_was_counted_here_is_owed_when_redis_is_back(launch, redis, upstream, key):
    """And what was taken before is owed here."""
    daemon = launch(
        upstream,
        loops=1,
        policies=[{"name": "org", "per": "org", "limit": "20/1d"}, {"name": "monthly", "per": "org", "quota": "100/month"}],
        redis_settings={"on_failure": "local", "local_share": 1},
    )
    assert statuses(daemon, key, "/api/listings", 5) == [200] * 5
    redis.freeze()
    try:
        # The first of them are asked of Redis, too: it takes them when it goes on, and they are not owed twice.
        assert statuses(daemon, key, "/api/listings", 18) == [200] * 15 + [429] * 3
    finally:
        redis.thaw()
    (counter,) = redis.names("*monthly*")
    until(lambda: redis("GET", counter) == b"20", "what was given being owed")
    answer = ask(daemon.port, "GET", "/api/listings", key)
    assert (answer.status, answer.limits()) == (429, (20, 0))
    assert redis("GET", counter) == b"20"
    assert value(daemon, "tollgate_corrections_lost_total") == 0


class Limited(Callers):
    """Some of whom have had enough."""

    statuses = frozenset({200, 429, 503})


@pytest.mark.parametrize("loops", [1, 2])
def test_a_redis_that_comes_and_goes_gives_nobody_more(launch, redis, upstream, key, loops):
    """34.8 tokens too many of a burst of 20 in 4 s, and growing, where each outage began with a full bucket."""
    rate, burst, outages = 5, 20, 24
    daemon = launch(
        upstream,
        loops=loops,
        policies=[{"name": "org", "per": "org", "limit": f"{rate}/1s", "burst": burst}],
        redis_settings={"timeout": "50ms", "on_failure": "local", "local_share": 1},
    )
    began = time.monotonic()
    with Limited(daemon, key) as callers:
        try:
            for _ in range(outages):
                redis.freeze()
                time.sleep(0.25)
                redis.thaw()
                time.sleep(0.05)
        finally:
            redis.thaw()
        until(lambda: callers.answers[-1][1] in {200, 429}, "an answer")
    took = time.monotonic() - began
    served = sum(status == 200 for _, status, _ in callers.answers)
    owed = burst + rate * took
    print(f"{loops} loops, {outages} outages in {took:.1f} s: {served} served, {owed:.1f} by one Redis alone")
    # Known good keys are served, and nobody has more than a burst beside what Redis alone would have given.
    assert not any(status == 503 for _, status, _ in callers.answers)
    assert 0.7 * owed <= served <= owed + burst
