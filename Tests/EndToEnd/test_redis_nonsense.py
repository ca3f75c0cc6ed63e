# SPDX-License-Identifier: Apache-2.0
"""Redis talking nonsense (docs/design.md, "Without Redis")."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.redis_relay import RedisRelay
from fixtures.wire import ask, until
from test_chaos_redis import Callers
from test_redis import DEFAULT, unavailable


def malformed_replies() -> list[tuple[bytes, bool]]:
    """200 replies that are none, each with whether the connection ends behind it. The same ones every time."""
    chosen = random.Random(20261123)
    fixed = [
        b"",
        b"\r\n",
        b"?\r\n",
        b"hello\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"$-2\r\n",
        b"$x\r\n",
        b"$3\r\nabcde\r\n",
        b"*-2\r\n",
        b"*x\r\n",
        b":\r\n",
        b":12a\r\n",
        b":99999999999999999999999\r\n",
        b"$99999999999999999999\r\n",
        b"*2147483648\r\n",
        b"$536870913\r\n",
        b"+OK\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b":0\r\n",
        b":-1\r\n",
        b"-ERR broken\r\n",
        b"-\r\n",
        b"+\r\n",
        b"$0\r\n\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        b"%1\r\n+a\r\n+b\r\n",
        b"~1\r\n:1\r\n",
        b",1.5\r\n",
        b"#t\r\n",
        b"_\r\n",
        b">2\r\n+a\r\n+b\r\n",
        b"(1\r\n",
        b"=5\r\ntxt:a\r\n",
        b"*3\r\n:1\r\n:2\r\n",
        b"*2\r\n$-1\r\n$-1\r\n",
        b"*2\r\n:1\r\n:1\r\n",
        b"*3\r\n+ok\r\n$3\r\nnan\r\n$-1\r\n",
        b"*4\r\n:1\r\n*0\r\n*0\r\n*0\r\n",
        b"\x00" * 64,
        b"\xff" * 64,
        b"+" + b"a" * 4096,
        b"$4096\r\n" + b"a" * 100,
    ]
    replies = list(fixed)
    while len(replies) < 200:
        kind = chosen.randrange(4)
        if kind == 0:
            replies.append(chosen.randbytes(chosen.randrange(1, 200)))
        elif kind == 1:
            count = chosen.randrange(1, 6)
            replies.append(
                b"*%d\r\n" % count
                + b"".join(
                    chosen.choice(
                        [
                            b":%d\r\n" % chosen.randrange(-(1 << 63), 1 << 63),
                            b"$-1\r\n",
                            b"$2\r\n-1\r\n",
                            b"+x\r\n",
                            b"*0\r\n",
                        ]
                    )
                    for _ in range(count)
                )
            )
        elif kind == 2:
            replies.append(
                chosen.choice([b"$", b"*", b":", b"+", b"-"]) + chosen.randbytes(chosen.randrange(12)) + b"\r\n"
            )
        else:
            whole = b"*3\r\n:1\r\n$16\r\n0123456789abcdef\r\n*2\r\n:5\r\n:6\r\n"
            replies.append(whole[: chosen.randrange(1, len(whole))])
    return [(reply, chosen.random() < 0.5) for reply in replies]


def give_malformed_replies(daemon, relay, replies: list[tuple[bytes, bool]], upstream, key: str):
    """One after the other, each as the reply to a request of its own."""

    def ask_until_good():
        until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 200, "recovery")

    def is_spoilt(number: int) -> bool:
        # On a busy machine a question may be given up before its reply comes; then the octets are in the place of another.
        if relay.spoilt == number:
            ask(daemon.port, "GET", "/api/listings", key)
        return relay.spoilt == number + 1

    ask_until_good()
    for number, (octets, hangs_up) in enumerate(replies):
        relay.spoil(octets, hangs_up)
        target = f"/api/listings?{daemon.port}-{number}"
        answer = ask(daemon.port, "GET", target, key)
        assert answer.status == 503, f"reply {octets!r} gave {answer.status}"
        unavailable(answer)
        assert target not in [request.target for request in upstream.requests]
        until(lambda number=number: is_spoilt(number), "the reply being spoilt")
        if not hangs_up:
            # What half a reply left behind would swallow the next one; this is where it has to be noticed.
            until(lambda: ask(daemon.port, "GET", "/api/listings", key).status in (200, 503), "an answer")
        ask_until_good()
        if number == len(replies) // 2:
            resident = daemon.resident()
    assert daemon.resident() - resident < 2 << 20


@pytest.mark.parametrize("octets", [lambda reply: b"", lambda reply: reply * 2], ids=["lost", "twice"])
def test_answers_that_are_out_of_step_are_noticed_under_load(launch, redis, upstream, ctl, key, folder, octets):
    """A proxy has lost one reply, or given one twice: each that follows is another question's. While replies are due all the
    time, it is the question for the database's id, each 5 s, whose answer tells."""
    relay = RedisRelay(folder / "relay.sock", redis.path)
    denied = ctl.issue("denied")["key"]
    ctl("org", "limit", "denied", "org=1/1d")
    policies = [{"name": "org", "per": "org", "limit": "1000000/7d"}]
    daemon = launch(upstream, loops=1, redis_url=relay.url, policies=policies)
    # So many are under way at any time.
    relay.delay = lambda command: 0.02

    class Either(Callers):
        statuses = frozenset({200, 429, 503})

    with Either(daemon, key, count=8, pause=0) as good, Either(daemon, denied, count=8, pause=0) as bad:
        until(lambda: any(status == 429 for _, status, _ in bad.answers), "a denial")
        left = [1]
        relay.alter = lambda reply: (octets(reply), False) if left and left.pop() else (reply, False)
        until(lambda: "redis.error=\"no Redis protocol" in daemon.said(), "the connection being given up")
        until(lambda: daemon.times_said("debug redis connection made") >= 2, "another one")
        moment = time.monotonic()
        until(lambda: len(good.since(moment)) > 200 and len(bad.since(moment)) > 200, "answers by it")
    # From here on each has its own.
    assert 200 in {status for _, status, _ in good.since(moment)} <= {200, 503}
    assert 429 in {status for _, status, _ in bad.since(moment)} <= {429, 503}
    relay.close()


def test_200_malformed_replies_cost_the_one_concerned_and_nothing_more(launch, redis, upstream, key, folder):
    replies = malformed_replies()
    assert len(replies) == 200
    # Several daemons, since most of the time is spent waiting for them to notice.
    count = 4
    relays = [RedisRelay(folder / f"relay{number}.sock", redis.path) for number in range(count)]
    org = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
    daemons = [
        launch(upstream, loops=1, redis_url=relay.url, redis_settings=DEFAULT, policies=org) for relay in relays
    ]
    with ThreadPoolExecutor(count) as pool:
        given = [
            pool.submit(give_malformed_replies, daemon, relay, replies[number::count], upstream, key)
            for number, (daemon, relay) in enumerate(zip(daemons, relays))
        ]
    for each in given:
        each.result()
    assert not any(daemon.exited() for daemon in daemons)
    for relay in relays:
        relay.close()
