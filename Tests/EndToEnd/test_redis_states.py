# SPDX-License-Identifier: Apache-2.0
"""What /readyz and the log say of a Redis that is there, and of no use."""

import json
import re
import time
from datetime import datetime, timezone

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


#: What is to be done about each.
DETAILS = {
    "emptied": "The database was emptied or swapped. Restore it, or have Tollgate work with it: tollgatectl database adopt {}.",
    "unreachable": "Redis can't be connected to. Is it running, and is redis.url right?",
    "NOAUTH": "Redis refuses the user or password of redis.url, or asks for one.",
    "WRONGPASS": "Redis refuses the user or password of redis.url, or asks for one.",
    "replica": "Redis is a replica. Name the primary in redis.url.",
    "NOREPLICAS": "Redis takes no writes, since it can't save or replicate them. See its own log.",
    "NOPERM": "The user in redis.url lacks a permission. Compare it with deploy/redis/users.acl; the log has Redis' words.",
    "database": "Redis has no database of the number in redis.url.",
}


HINT = 'hint="compare the user with deploy/redis/users.acl"'


def becomes(daemon, reason: str, *data: str):
    """Until then it may be ready, or not know more than that Redis isn't."""

    def is_told() -> bool:
        answer = ask(daemon.admin, "GET", "/readyz")
        return answer.status == 503 and answer.json().get("reason") == reason

    until(is_told, f"/readyz saying {reason}")
    told = state(daemon)
    assert datetime.fromisoformat(told.pop("since")) <= datetime.now(timezone.utc)
    assert told == {"status": "redis unavailable", "reason": reason, "detail": DETAILS[reason].format(*data)}


def ask_all_loops(daemon, key):
    """Not served on any of them, as far as the kernel spreads connections."""
    for _ in range(20):
        unavailable(ask(daemon.port, "GET", "/api/listings", key))


def test_away(launch, redis, upstream, key):
    daemon = launch(upstream)
    redis.kill()
    becomes(daemon, "unreachable")
    unavailable(ask(daemon.port, "GET", "/api/listings", key))
    assert daemon.times_said("error redis unavailable redis.endpoint=") >= 1
    redis.start()
    daemon.wait_until_ready()


def test_silent(launch, redis, upstream, key):
    daemon = launch(upstream, redis_settings={"timeout": "50ms"}, loops=1)
    # On a busy machine this budget isn't always enough.
    until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 200, "an answer in time")
    for attempt in range(1, 6):
        redis.freeze()
        answers = [ask(daemon.port, "GET", "/api/listings", key) for _ in range(4)]
        said = ask(daemon.admin, "GET", "/readyz").json()
        redis.thaw()
        for answer in answers:
            unavailable(answer)
        # For a second and a half; then its host is taken for gone.
        assert said["reason"] in ("no_answer", "unreachable")
        reasons = [daemon.line_of(answer)["reason"] for answer in answers]
        daemon.wait_until_ready()
        # A sidecar looks for itself: where this test was slower than that, it is frozen once more.
        if reasons[0] == "limiter_slow":
            break
    assert daemon.times_said("warning redis doesn't answer: going on without it") <= attempt
    # One that is late is no outage yet; one that goes on is.
    assert reasons[0] == "limiter_slow" and reasons[-1] == "limiter_unavailable"
    assert daemon.times_said("warning redis doesn't answer: going on without it") > 0


def test_emptied(launch, redis, upstream, ctl, key):
    daemon = launch(upstream, loops=4)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    database = json.loads(ctl("database", "show", "--json"))["id"]
    redis("FLUSHALL")
    # Nobody has to ask for it.
    becomes(daemon, "emptied", database)
    # Each loop finds out, and one line tells of it.
    ask_all_loops(daemon, key)
    assert daemon.times_said("error the database was emptied or swapped: going on without it") == 1


def test_adopted(launch, redis, upstream, ctl):
    """What was lost is lost, and all sidecars work with what there is, without a restart."""
    daemons = [launch(upstream, loops=2) for _ in range(2)]
    old = ctl.issue()["key"]
    assert [ask(daemon.port, "GET", "/api/listings", old).status for daemon in daemons] == [200, 200]
    database = json.loads(ctl("database", "show", "--json"))["id"]
    redis("FLUSHALL")
    for daemon in daemons:
        becomes(daemon, "emptied", database)
        assert f"id={database}" in daemon.said()
    assert ctl("database", "show").splitlines()[0] == "Database:     none: nobody has worked with it, or it was emptied"
    key = ctl.issue()["key"]
    other = json.loads(ctl("database", "show", "--json"))["id"]
    assert other != database
    ask_all_loops(daemons[0], key)
    refused = ctl.run("database", "adopt", database)
    assert (refused.returncode, refused.stdout) == (64, "")
    assert f"sidecars that know it as {other} will go on without it; give --yes where nobody can be asked" in refused.stderr
    wrong = ctl.run("database", "adopt", "--yes", database.upper())
    assert (wrong.returncode, wrong.stdout) == (64, "")
    assert "expected the 32 of 0-9 a-f that a sidecar logs as its database's id" in wrong.stderr
    said = f"The database has the id {database} now: sidecars that know it by that work with it.\n"
    assert ctl("database", "adopt", "--yes", database) == said
    assert ctl("database", "adopt", database) == f"The database had the id {database} before.\n"
    for daemon in daemons:
        daemon.wait_until_ready()
        assert {ask(daemon.port, "GET", "/api/listings", key).status for _ in range(4)} == {200}
        assert {ask(daemon.port, "GET", "/api/listings", old).status for _ in range(4)} == {401}
    entry = json.loads(ctl("audit", "--plans", "--json").splitlines()[-1])
    assert (entry["what"], entry["target"], entry["detail"]) == ("database.adopt", database, f"was {other}")


#: What may come over a Redis and go again: how, and what /readyz and Redis itself say of it.
PASSING = [
    (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "replica"),
    (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"], "NOREPLICAS"),
]
PASSWORD = ["CONFIG", "SET", "requirepass", "s3cret"]


@pytest.mark.parametrize(
    "url, change, undo, reason, said",
    [
        # It says so when it is greeted.
        *[("unix://{}", *passing, "this is a replica" if passing[2] == "replica" else passing[2]) for passing in PASSING],
        (
            "unix://{}",
            ["ACL", "SETUSER", "default", "-script"],
            ["ACL", "SETUSER", "default", "+script"],
            "NOPERM",
            "NOPERM",
        ),
        ("unix://{}", PASSWORD, None, "NOAUTH", "NOAUTH"),
        ("unix://:wrong@{}", PASSWORD, None, "WRONGPASS", "WRONGPASS"),
        ("unix://{}?db=99", ["PING"], None, "database", "ERR DB index is out of range"),
    ],
)
def test_refusing_from_the_start(launch, redis, upstream, url, change, undo, reason, said):
    redis(*change)
    daemon = launch(upstream, redis_url=url.format(redis.path), ready=False)
    becomes(daemon, reason)
    assert re.search(rf"^\S+ error redis unavailable .*redis\.error=\"?{said}", daemon.said(), re.MULTILINE)
    assert "wrong" not in daemon.said() and "s3cret" not in daemon.said()
    assert (HINT in daemon.said()) == (reason == "NOPERM")
    if undo:
        redis(*undo)
        daemon.wait_until_ready()


@pytest.mark.parametrize("change, undo, reason", PASSING)
def test_refusing_since_then(launch, redis, upstream, key, change, undo, reason):
    daemon = launch(upstream, loops=4)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis(*change)
    # A probe finds out, without a request, when it begins and when it is over.
    becomes(daemon, reason)
    assert ("READONLY" if reason == "replica" else reason) in daemon.said() or "this is a replica" in daemon.said()
    ask_all_loops(daemon, key)
    redis(*undo)
    daemon.wait_until_ready()
    if reason != "replica":
        until(lambda: daemon.times_said("notice redis carries out scripts again"), "its end being told")
        assert daemon.times_said("error redis refuses a script that requests need") == 1
        assert daemon.times_said("notice redis carries out scripts again") == 1
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200


def test_a_permission_that_only_admission_needs(launch, redis, upstream, key):
    daemon = launch(upstream, loops=4)
    until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 200, "an answer")
    redis("ACL", "SETUSER", "default", "-set")
    # Twenty in a row on one loop.
    until(lambda: ask_all_loops(daemon, key) or ask(daemon.admin, "GET", "/readyz").status == 503, "being not ready")
    # Whatever else is carried out meanwhile, look-ups and probes, it isn't over.
    for _ in range(4):
        ask_all_loops(daemon, key)
        # A probe each second.
        time.sleep(1.5)
        assert state(daemon)["reason"] == "NOPERM"
    redis("ACL", "SETUSER", "default", "+set")

    def is_over() -> bool:
        served = ask(daemon.port, "GET", "/api/listings", key).status == 200
        return served and ask(daemon.admin, "GET", "/readyz").status == 200

    until(is_over, "every loop being served")
    until(lambda: daemon.times_said("notice redis carries out scripts again"), "its end being told")
    assert daemon.times_said("error redis refuses a script that requests need") == 1
    assert daemon.times_said("notice redis carries out scripts again") == 1


def test_few_requests_show_a_missing_permission(launch, redis, upstream, key):
    """It takes neither twenty of them nor a guess which command it is."""
    daemon = launch(upstream, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis("ACL", "SETUSER", "default", "-time")
    for _ in range(3):
        unavailable(ask(daemon.port, "GET", "/api/listings", key))
    becomes(daemon, "NOPERM")
    assert re.search(
        rf"^\S+ error redis refuses a script that requests need .*{HINT} script=admit$", daemon.said(), re.MULTILINE
    )
    redis("ACL", "SETUSER", "default", "+time")

    def is_over() -> bool:
        served = ask(daemon.port, "GET", "/api/listings", key).status == 200
        return served and ask(daemon.admin, "GET", "/readyz").status == 200

    until(is_over, "being served")


@pytest.fixture
def relay(folder, redis):
    between = RedisRelay(folder / "relay.sock", redis.path)
    yield between
    between.close()


def test_one_late_decision_is_no_outage(launch, redis, upstream, key, relay):
    daemon = launch(upstream, redis_url=relay.url, redis_settings={"timeout": f"{BUDGET}ms"}, loops=1)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    late: list[float] = []
    relay.delay = lambda command: late.pop() if b"}:b:" in command and late else 0

    def is_too_late() -> bool:
        """One that reads late, as a busy machine may, finds it in time."""
        late.append(BUDGET / 1000 + 0.3)
        answer = ask(daemon.port, "GET", "/api/listings", key)
        assert not late
        if answer.status == 200:
            return False
        unavailable(answer)
        return True

    until(is_too_late, "an answer that is too late")
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
