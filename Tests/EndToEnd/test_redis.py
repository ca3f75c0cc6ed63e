# SPDX-License-Identifier: Apache-2.0
"""Redis killed, frozen or absent (docs/design.md, "Without Redis")."""

import threading
import time

import pytest
from fixtures.wire import Connection, ask, until
from test_answers import BAD_KEY, LIMIT_FIELDS, problem
from test_metrics import call

#: How long a decision may take while Redis is away, seen from the caller.
PROMPT = 0.1
REDUCED = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


#: The daemon's own budget for a decision, where the time of an answer is the subject.
DEFAULT = {"timeout": "50ms"}


def prompt(connection: Connection, *request):
    """An answer that came in time. A busy machine may hold up one of three; a daemon that waits does so each time."""
    for _ in range(3):
        began = time.monotonic()
        answer = connection.request(*request)
        took = time.monotonic() - began
        if took < PROMPT:
            return answer
    raise AssertionError(f"{request}: {answer.status} after {took * 1000:.0f} ms")


def unavailable(answer):
    problem(answer, 503, "Service Unavailable", "Rate limiter unavailable", type=REDUCED)
    assert answer["Retry-After"] == "1"
    assert not any(name in answer for name in LIMIT_FIELDS)


def assert_answers_without_redis(port: int, key: str, upstream):
    """Everything the design says of a sidecar whose Redis is away, each within its time."""
    arrived = len(upstream.requests)
    with Connection(port) as connection:
        for _ in range(5):
            for fields in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"X-API-Key": BAD_KEY}):
                unavailable(prompt(connection, "GET", "/api/listings", fields))
            unavailable(prompt(connection, "GET", "/open"))
        for method, target, fields, status in (
            ("GET", "/nowhere", {}, 404),
            ("DELETE", "/api/listings", {}, 405),
            ("GET", "/api/listings", {}, 401),
            ("GET", "/api/listings", {"X-API-Key": "not-ours"}, 401),
            ("GET", "/health", {}, 200),
            ("GET", "/health", {"X-API-Key": key}, 200),
            ("GET", "/api/%2flistings", {}, 400),
        ):
            answer = prompt(connection, method, target, fields)
            assert answer.status == status, (method, target, answer.json())
            assert not any(name in answer for name in LIMIT_FIELDS)
    # Of all that only the two that need no limiter may have reached the handler.
    assert {request.target for request in upstream.requests[arrived:]} <= {"/health"}


def assert_is_back(port: int, key: str, within: float = 1.0):
    """A good key passes again in time, on both loops, and was never told anything but that the limiter is away."""
    began = time.monotonic()
    statuses = []
    while statuses[-2:] != [200, 200]:
        statuses.append(ask(port, "GET", "/api/listings", key).status)
        assert time.monotonic() - began < within, f"not back after {within} s: {statuses[-5:]}"
        time.sleep(0.01)
    assert set(statuses) <= {200, 503}


def test_killed_and_back_with_its_data(launch, redis, upstream, ctl):
    # One loop: while one of several isn't back, the others take more tokens.
    org = [{"name": "org", "per": "org", "limit": "100/1h"}]
    daemon = launch(upstream, policies=org, redis_settings=DEFAULT, loops=1)
    issued = ctl.issue()
    with Connection(daemon.port) as connection:
        for _ in range(10):
            before = connection.request("GET", "/api/listings", {"X-API-Key": issued["key"]})
    assert before.limits() == (100, 90)
    redis.kill()
    assert_answers_without_redis(daemon.port, issued["key"], upstream)
    assert ask(daemon.admin, "GET", "/readyz").status == 503
    assert ask(daemon.admin, "GET", "/livez").status == 200
    redis.start()
    assert_is_back(daemon.port, issued["key"])
    # The bucket is where it was: 10 calls before, two when it came back, this one.
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).limits() == (100, 87)
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 200, "/readyz", 1)


def test_frozen_and_thawed(launch, redis, upstream, ctl):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "1000/1h"}], redis_settings=DEFAULT)
    issued = ctl.issue()
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    redis.freeze()
    assert_answers_without_redis(daemon.port, issued["key"], upstream)
    redis.thaw()
    assert_is_back(daemon.port, issued["key"])
    # Late replies keep their slot: nobody gets the answer to another one's question.
    with Connection(daemon.port) as connection:
        for _ in range(20):
            assert connection.request("GET", "/api/listings", {"X-API-Key": issued["key"]}).status == 200
            assert connection.request("GET", "/api/listings", {"X-API-Key": BAD_KEY}).status in (401, 429)


def test_frozen_with_many_callers_at_once(launch, redis, upstream, key):
    daemon = launch(upstream, redis_settings=DEFAULT)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.freeze()
    connections = [Connection(daemon.port) for _ in range(32)]
    request = f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode()
    began = time.monotonic()
    for connection in connections:
        connection.send(request)
    for connection in connections:
        unavailable(connection.response())
    assert time.monotonic() - began < 2 * PROMPT
    redis.thaw()
    assert_is_back(daemon.port, key)


def test_absent_at_boot_and_coming_later(launch, redis, upstream, ctl):
    key = ctl.issue()["key"]
    redis.kill()
    began = time.monotonic()
    daemon = launch(upstream, ready=False, redis_settings=DEFAULT)
    # The listener opens without Redis one second after the start at the latest.
    assert time.monotonic() - began < 3
    assert_answers_without_redis(daemon.port, key, upstream)
    assert ask(daemon.admin, "GET", "/readyz").status == 503
    assert ask(daemon.admin, "GET", "/livez").status == 200
    redis.start()
    assert_is_back(daemon.port, key)
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 200, "/readyz", 1)


def test_killed_and_back_again_and_again(launch, redis, upstream, key):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "100000/1s"}], redis_settings=DEFAULT)
    for _ in range(3):
        assert_is_back(daemon.port, key)
        redis.kill()
        unavailable(ask(daemon.port, "GET", "/api/listings", key))
        redis.start()
    assert_is_back(daemon.port, key)


def test_a_revocation_during_the_outage_holds_after_it(launch, redis, upstream, ctl):
    daemon = launch(upstream)
    issued = ctl.issue()
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    redis.kill()
    unavailable(ask(daemon.port, "GET", "/api/listings", issued["key"]))
    redis.start()
    ctl.revoke(issued["id"])
    statuses = []
    until(
        lambda: statuses.append(ask(daemon.port, "GET", "/api/listings", issued["key"]).status) or statuses[-1] != 503,
        "an answer",
        1,
    )
    assert statuses[-1] == 401
    assert 200 not in statuses


def test_an_emptied_redis_is_an_outage_and_no_verdict_on_keys(launch, redis, upstream, key):
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis("FLUSHALL")
    for _ in range(10):
        assert ask(daemon.port, "GET", "/api/listings", key).status == 503
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "/readyz")


def test_scripts_flushed_are_loaded_again(launch, redis, upstream, key):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "20/1h"}])
    assert ask(daemon.port, "GET", "/api/listings", key).limits() == (20, 19)
    redis("SCRIPT", "FLUSH")
    assert ask(daemon.port, "GET", "/api/listings", key).limits() == (20, 18)


def test_open_lets_known_keys_pass_uncharged(launch, redis, upstream, ctl):
    daemon = launch(upstream, loops=1, redis_settings=DEFAULT | {"on_failure": "open"})
    key, cold = ctl.issue()["key"], ctl.issue(name="cold")["key"]
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.kill()
    answers = [ask(daemon.port, "GET", "/api/listings", key) for _ in range(30)]
    assert {answer.status for answer in answers} == {200}
    assert not any(name in answer for answer in answers for name in LIMIT_FIELDS)
    # Authentication itself never fails open.
    unavailable(ask(daemon.port, "GET", "/api/listings", cold))
    unavailable(ask(daemon.port, "GET", "/api/listings", BAD_KEY))
    assert ask(daemon.port, "GET", "/api/listings").status == 401


@pytest.mark.parametrize("on_failure", ["open", "local"])
def test_a_key_that_one_loop_knows_is_known_to_all(launch, redis, upstream, ctl, on_failure):
    daemon = launch(
        upstream,
        loops=4,
        policies=[{"name": "org", "per": "org", "limit": "10000/1h"}],
        redis_settings={"on_failure": on_failure},
    )
    # Each of them is met by one of the loops.
    keys = [ctl.issue(name=f"k{number}")["key"] for number in range(3)]
    revoked, cold = ctl.issue(name="revoked"), ctl.issue(name="cold")["key"]
    for key in keys:
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    for _ in range(8):
        assert ask(daemon.port, "GET", "/api/listings", revoked["key"]).status == 200
    ctl.revoke(revoked["id"])
    assert ask(daemon.port, "GET", "/api/listings", revoked["key"]).status == 401
    redis.kill()
    for key in keys:
        assert {ask(daemon.port, "GET", "/api/listings", key).status for _ in range(10)} == {200}
    for _ in range(8):
        unavailable(ask(daemon.port, "GET", "/api/listings", revoked["key"]))
        unavailable(ask(daemon.port, "GET", "/api/listings", cold))


def test_a_call_that_costs_more_than_the_first_has_room_when_counted_in_process(launch, redis, upstream, key):
    """What one call may cost isn't fixed by the call that happened to be first."""
    daemon = launch(
        upstream,
        loops=1,
        routes=[{"path": "/mcp", "mcp": True}],
        policies=[{"name": "org", "per": "org", "limit": "20/1s", "cost": {"dear": 8}}],
        redis_settings={"on_failure": "local", "local_share": 0.1},
    )

    def status(tool: str) -> int:
        fields = {"X-API-Key": key, "Content-Type": "application/json"}
        return ask(daemon.port, "POST", "/mcp", None, fields=fields, body=call(tool)).status

    assert status("cheap") == 200
    redis.kill()
    assert status("cheap") == 200
    until(lambda: status("dear") == 200, "room for the dear call")


def test_local_counts_known_keys_in_process(launch, redis, upstream, key):
    daemon = launch(
        upstream,
        loops=1,
        policies=[{"name": "org", "per": "org", "limit": "20/1h"}],
        redis_settings=DEFAULT | {"on_failure": "local", "local_share": 0.5},
    )
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis.kill()
    with Connection(daemon.port) as connection:
        statuses = [connection.request("GET", "/api/listings", {"X-API-Key": key}).status for _ in range(15)]
    # As full as the bucket in Redis was: one of twenty was taken.
    assert statuses == [200] * 9 + [429] * 6


def test_connections_to_redis_do_not_pile_up(launch, redis, upstream, key):
    daemon = launch(upstream, loops=2)
    for _ in range(3):
        redis("CLIENT", "KILL", "TYPE", "normal")
        assert_is_back(daemon.port, key)
    until(lambda: redis.clients() == 2, "one connection a loop")


@pytest.mark.parametrize("callers", [8])
def test_a_connection_lost_under_load_fails_only_what_was_in_flight(launch, redis, upstream, key, callers):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "1000000/1s"}])
    statuses: list[int] = []
    stop = threading.Event()

    def hammer():
        with Connection(daemon.port) as connection:
            while not stop.is_set():
                statuses.append(connection.request("GET", "/api/listings", {"X-API-Key": key}).status)

    threads = [threading.Thread(target=hammer) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        count = len(statuses)
        until(lambda n=count: statuses[n:].count(200) >= 50, "50 good answers")
        redis("CLIENT", "KILL", "TYPE", "normal")
    count = len(statuses)
    until(lambda: statuses[count:].count(200) >= 50, "50 good answers")
    stop.set()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503}


def test_a_namespace_of_its_own(launch, redis, upstream, key):
    other = launch(upstream, namespace="other")
    assert ask(other.port, "GET", "/api/listings", key).status == 401
    assert {name.split(":")[0] for name in redis.names()} == {"tg", "other"}


def test_what_is_stored_is_named_as_the_design_says(launch, redis, upstream, ctl):
    policies = [{"name": "org", "per": "org", "limit": "20/1h"}, {"name": "address", "per": "address", "limit": "15/1h"}]
    daemon = launch(upstream, policies=policies)
    issued = ctl.issue()
    ask(daemon.port, "GET", "/api/listings", issued["key"])
    ask(daemon.port, "GET", "/open", fields={"X-Forwarded-For": "203.0.113.9"})
    ask(daemon.port, "GET", "/open", fields={"X-Forwarded-For": "2001:db8:0:1::5"})
    names = redis.names()
    assert {
        "tg:1:{acme}:b:org",
        "tg:1:{a:203.0.113.9}:b:address",
        "tg:1:{a:2001:db8:0:1::/64}:b:address",
        "tg:1:{:m}:meta",
    } <= names
    assert not any(issued["key"] in name for name in names)
    # As long as it takes to be full again.
    assert 0 < redis("PTTL", "tg:1:{acme}:b:org") <= 180_001
