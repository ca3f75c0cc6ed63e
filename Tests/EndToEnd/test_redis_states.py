# SPDX-License-Identifier: Apache-2.0
"""What /readyz and the log say of a Redis that is there, and of no use."""

import re

import pytest
from fixtures.redis_relay import RedisRelay
from fixtures.wire import ask, until
from test_redis import unavailable

#: Far from what a busy machine needs, and never reached by a Redis that answers.
BUDGET = 500


def state(daemon) -> dict:
    answer = ask(daemon.admin, "GET", "/readyz")
    assert answer.status == 503
    assert answer["Content-Type"] == "application/json"
    return answer.json()


def becomes(daemon, reason: str, detail: str):
    """Until then it may be ready, or not know more than that Redis isn't."""

    def is_told() -> bool:
        answer = ask(daemon.admin, "GET", "/readyz")
        return answer.status == 503 and answer.json().get("reason") == reason

    until(is_told, f"/readyz saying {reason}")
    assert state(daemon) == {"status": "redis unavailable", "reason": reason, "detail": detail}


EMPTIED = "The database was emptied or swapped. Restore it, or restart Tollgate to work with the new one."
UNREACHABLE = "Redis can't be connected to. Is it running, and is redis.url right?"
CREDENTIALS = "Redis refuses the user or password of redis.url, or asks for one."
MEMORY = "Redis has used up its maxmemory. Give it more."
REPLICA = "Redis is a replica. Name the primary in redis.url."
PERSISTENCE = "Redis takes no writes, since it can't save or replicate them. See its own log."
PERMISSIONS = "Redis does not permit what is needed to the user of redis.url."
DATABASE = "Redis has no database of the number in redis.url."


def test_away(launch, redis, upstream, key):
    daemon = launch(upstream)
    redis.kill()
    becomes(daemon, "unreachable", UNREACHABLE)
    unavailable(ask(daemon.port, "GET", "/api/listings", key))
    assert daemon.times_said("error redis unavailable redis.endpoint=") >= 1
    redis.start()
    daemon.wait_until_ready()


def test_silent(launch, redis, upstream, key):
    daemon = launch(upstream, redis_settings={"timeout": "50ms"}, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.freeze()
    for _ in range(4):
        unavailable(ask(daemon.port, "GET", "/api/listings", key))
    said = ask(daemon.admin, "GET", "/readyz").json()
    # For a second and a half; then its host is taken for gone.
    assert said["reason"] in ("no_answer", "unreachable")
    assert daemon.times_said("warning redis doesn't answer: going on without it") == 1
    # Which one was late, and which found nobody: at most two may be in doubt.
    reasons = [line["reason"] for line in daemon.lines(5)[1:]]
    assert reasons == ["limiter_slow", "limiter_slow", "limiter_unavailable", "limiter_unavailable"]
    redis.thaw()
    daemon.wait_until_ready()
    # It has said what it was, so it isn't told a second time as something else.
    assert daemon.times_said("redis answers too late") == 0


def test_emptied(launch, redis, upstream, key):
    daemon = launch(upstream, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis("FLUSHALL")
    unavailable(ask(daemon.port, "GET", "/api/listings", key))
    becomes(daemon, "emptied", EMPTIED)
    assert daemon.times_said("error the database was emptied or swapped: going on without it") == 1


#: What may come over a Redis and go again: how, what /readyz says of it, and how Redis itself begins.
PASSING = [
    (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "replica", REPLICA, "READONLY"),
    (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "memory", MEMORY, "OOM"),
    (
        ["CONFIG", "SET", "min-replicas-to-write", "1"],
        ["CONFIG", "SET", "min-replicas-to-write", "0"],
        "persistence",
        PERSISTENCE,
        "NOREPLICAS",
    ),
]
PASSWORD = ["CONFIG", "SET", "requirepass", "s3cret"]


@pytest.mark.parametrize(
    "url, change, undo, reason, detail, said",
    [
        *[("unix://{}", *passing) for passing in PASSING],
        (
            "unix://{}",
            ["ACL", "SETUSER", "default", "-script"],
            ["ACL", "SETUSER", "default", "+script"],
            "permissions",
            PERMISSIONS,
            "NOPERM",
        ),
        ("unix://{}", PASSWORD, None, "credentials", CREDENTIALS, "NOAUTH"),
        ("unix://:wrong@{}", PASSWORD, None, "credentials", CREDENTIALS, "WRONGPASS"),
        ("unix://{}?db=99", ["PING"], None, "database", DATABASE, "ERR DB index is out of range"),
    ],
)
def test_refusing_from_the_start(launch, redis, upstream, url, change, undo, reason, detail, said):
    redis(*change)
    daemon = launch(upstream, redis_url=url.format(redis.path), ready=False)
    becomes(daemon, reason, detail)
    assert re.search(rf"^\S+ error redis unavailable .*redis\.error=\"?{said}", daemon.said(), re.MULTILINE)
    assert "wrong" not in daemon.said() and "s3cret" not in daemon.said()
    if undo:
        redis(*undo)
        daemon.wait_until_ready()


@pytest.mark.parametrize("change, undo, reason, detail, said", PASSING)
def test_refusing_since_then(launch, redis, upstream, key, change, undo, reason, detail, said):
    daemon = launch(upstream, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis(*change)
    unavailable(ask(daemon.port, "GET", "/api/listings", key))
    becomes(daemon, reason, detail)
    assert said in daemon.said()
    redis(*undo)
    # A probe finds out, without a request.
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200


@pytest.fixture
def relay(folder, redis):
    between = RedisRelay(folder / "relay.sock", redis.path)
    yield between
    between.close()


def test_one_late_decision_is_no_outage(launch, redis, upstream, key, relay):
    daemon = launch(upstream, redis_url=relay.url, redis_settings={"timeout": f"{BUDGET}ms"}, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    late = [BUDGET / 1000 + 0.3]
    relay.delay = lambda command: late.pop() if b"}:b:" in command and late else 0
    unavailable(ask(daemon.port, "GET", "/api/listings", key))
    assert not late
    assert ask(daemon.admin, "GET", "/readyz").status == 200
    until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 200, "an answer in time")
    until(lambda: daemon.times_said("warning redis answers too late") == 1, "the line in the log")
    line = re.search(r"redis answers too late (.*)", daemon.said())[1]
    said = dict(pair.split("=") for pair in line.split())
    assert said["on_failure"] == "closed" and said["redis.timeout_ms"] == str(BUDGET)
    assert int(said["longest_ms"]) >= BUDGET
    reasons = [entry.get("reason") for entry in daemon.lines() if entry["status"] == 503]
    assert reasons == ["limiter_slow"] * int(said["decisions"])
    assert daemon.times_said("redis doesn't answer") == 0
