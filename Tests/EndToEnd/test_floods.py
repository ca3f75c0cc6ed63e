# SPDX-License-Identifier: Apache-2.0
"""What floods cost Redis: of denied calls, and of keys that aren't there."""

import threading
import time

from fixtures.wire import Connection, ask, request_bytes, until

PATH = "/api/listings"


def admits(redis) -> int:
    """Scripts that Redis has run."""
    for line in redis("INFO", "commandstats").decode().split("\r\n"):
        if line.startswith("cmdstat_evalsha:"):
            return int(line.split("calls=")[1].split(",")[0])
    return 0


def hammer(daemon, fields, seconds: float, connections: int) -> dict[int, int]:
    """Each connection asks without a pause, every one with the fields that it is given; statuses by count."""
    seen: dict[int, int] = {}
    lock = threading.Lock()
    deadline = time.monotonic() + seconds

    def run(number: int):
        mine: dict[int, int] = {}
        with Connection(daemon.port) as connection:
            turn = 0
            while time.monotonic() < deadline:
                status = connection.request("GET", PATH, fields(number, turn)).status
                mine[status] = mine.get(status, 0) + 1
                turn += 1
        with lock:
            for status, count in mine.items():
                seen[status] = seen.get(status, 0) + count

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_a_flood_of_one_denied_key_costs_redis_a_call_a_token(launch, upstream, key, redis):
    """Five tokens a second on one loop, sixteen connections that never stop: a refused call a token at most."""
    daemon = launch(upstream, loops=1, policies=[{"name": "key", "per": "key", "limit": "5/1s:5"}])
    assert ask(daemon.port, "GET", PATH, key).status == 200
    before, began = admits(redis), time.monotonic()
    seen = hammer(daemon, lambda *_: {"X-API-Key": key}, 6, 16)
    took, cost = time.monotonic() - began, admits(redis) - before
    tokens = took * 5
    assert set(seen) == {200, 429}
    # What the limit gives is given: the flood starves nobody of it.
    assert 0.9 * tokens <= seen[200] <= tokens + 6
    assert seen[429] > 20 * tokens
    refused = cost - seen[200]
    # Questions sent before the first denial was heard, one by each connection; the daemon's beats and probes.
    assert refused <= tokens + 16 + 8, f"{refused} refused calls for {tokens:.0f} tokens and {seen[429]} denials"


def test_a_flood_on_an_empty_quota_costs_redis_a_call_a_second(launch, upstream, key, redis):
    daemon = launch(upstream, loops=1, policies=[{"name": "key", "per": "key", "quota": "1/month"}])
    assert ask(daemon.port, "GET", PATH, key).status == 200
    before = admits(redis)
    seen = hammer(daemon, lambda *_: {"X-API-Key": key}, 4, 16)
    assert set(seen) == {429}
    assert admits(redis) - before <= 4 + 16 + 6


def test_junk_costs_redis_little_and_good_keys_nothing_of_theirs(launch, upstream, key, redis):
    daemon = launch(
        upstream,
        loops=1,
        trusted_proxies=["127.0.0.0/8"],
        policies=[{"name": "org", "per": "org", "limit": "1000000/1s"}],
    )
    assert ask(daemon.port, "GET", PATH, key).status == 200
    before = admits(redis)

    def junk(number: int, turn: int) -> dict[str, str]:
        # Of five addresses in one block, and one that behaves itself.
        return {"X-API-Key": f"mcp_junk{number}x{turn}", "X-Forwarded-For": f"198.51.100.{number % 5}"}

    good = []

    def owner():
        with Connection(daemon.port) as connection:
            for _ in range(20):
                good.append(connection.request("GET", PATH, {"X-API-Key": key}).status)
                time.sleep(0.1)

    watcher = threading.Thread(target=owner)
    watcher.start()
    began = time.monotonic()
    seen = hammer(daemon, junk, 2.5, 10)
    took = time.monotonic() - began
    watcher.join()
    assert set(seen) <= {401, 503}
    assert good == [200] * 20
    # Five hundred failures a second and block, at most, with as many at once.
    assert seen[401] <= 500 * (1 + took)
    # Two scripts each: the pointer, and which database says so.
    assert admits(redis) - before <= 2 * seen[401] + 20 + 10
    # Another address isn't held to what these did.
    assert ask(daemon.port, "GET", PATH, "mcp_other", fields={"X-Forwarded-For": "203.0.113.4"}).status == 401


def test_junk_beyond_the_budget_is_told_and_logged_as_such(launch, upstream):
    daemon = launch(
        upstream,
        loops=1,
        policies=[{"name": "org", "per": "org", "limit": "1000000/1s"}],
        redis_settings={"timeout": "400ms"},
    )
    connections = [Connection(daemon.port) for _ in range(1000)]
    turn, refused = 0, []

    def are_refused() -> bool:
        """More at once than one block of addresses may look up within the time that one waits."""
        nonlocal turn, refused
        turn += 1
        junk = [request_bytes("GET", PATH, {"X-API-Key": f"mcp_{turn:03}{number:040}"}) for number in range(1000)]
        for connection, octets in zip(connections, junk):
            connection.send(octets)
        answers = [connection.response() for connection in connections]
        assert {answer.status for answer in answers} <= {401, 503}
        # On a busy machine Redis may be late for some besides.
        logged = [line for line in daemon.lines(1000 * turn)[-1000:] if line["status"] == 503]
        assert {line["reason"] for line in logged} <= {"lookup_budget", "limiter_slow"}
        assert {line["decision"] for line in logged} <= {"deny"}
        refused = [answer for answer in answers if answer.status == 503]
        assert len(refused) == len(logged)
        return any(line["reason"] == "lookup_budget" for line in logged)

    until(are_refused, "a look-up beyond the budget")
    for connection in connections:
        connection.close()
    assert {answer["Retry-After"] for answer in refused} == {"1"}
