# SPDX-License-Identifier: Apache-2.0
"""Many random callers and a random handler at once: nothing crashes, hangs, leaks, or answers another's request."""

import asyncio
import os
import random
from collections import Counter

import pytest
from fixtures.storm import Storm, StormyHandler
from fixtures.wire import ask, until

SECONDS = 150 if os.environ.get("TOLLGATE_LONG") else 6


@pytest.mark.parametrize(
    ("loops", "trouble"), [(1, None), (2, None), (2, "closed"), (2, "open")], ids=["one", "two", "closed", "open"]
)
def test_whatever_both_sides_do_each_request_gets_its_own_answer(launch, ctl, key, redis, loops, trouble):
    seed = int(os.environ.get("TOLLGATE_SEED") or random.getrandbits(32))
    print(f"TOLLGATE_SEED={seed}")
    random.seed(seed)
    asyncio.run(blow(launch, ctl, key, redis, loops, trouble, seed))


async def freeze(redis):
    """Stops Redis for moments that are longer, or not, than a decision may take."""
    while True:
        await asyncio.sleep(random.random() / 2)
        redis.freeze()
        await asyncio.sleep(random.random() / 5)
        redis.thaw()


async def blow(launch, ctl, key: str, redis, loops: int, trouble: str | None, seed: int):
    doomed = ctl.issue(name="doomed")
    handler = StormyHandler()
    await handler.start()
    daemon = await asyncio.to_thread(
        launch,
        f"http://127.0.0.1:{handler.port}",
        loops=loops,
        policies=[{"name": name, "per": name, "limit": "1000000/1s"} for name in ("address", "org")],
        upstream_settings={
            # One key has half of them.
            "max_connections": 24,
            "response_timeout": "2s",
            "idle_timeout": "1s",
            "connect_timeout": "1s",
        },
        limits={"idle_timeout": "2s", "header_timeout": "2s", "body_bytes": "1MiB"},
        redis_settings={"timeout": "100ms", "on_failure": trouble} if trouble else {},
    )

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    before = descriptors()
    storm = Storm(daemon.port, key, doomed["key"], handler, seed)
    await storm.blow(callers=4, seconds=SECONDS / 6)
    resident = daemon.resident()
    freezing = asyncio.create_task(freeze(redis)) if trouble else None
    await storm.blow(callers=32, seconds=SECONDS / 2)
    if freezing:
        freezing.cancel()
        redis.thaw()
        await asyncio.to_thread(until, lambda: ask(daemon.admin, "GET", "/readyz").status == 200, "/readyz")
    revoking = asyncio.create_task(storm.revoke(lambda: ctl.revoke(doomed["id"])))
    await storm.blow(callers=16, seconds=SECONDS / 3)
    await revoking
    print(f"{storm.count} requests, {storm.unanswered} unanswered, {dict(storm.answers)}")

    storm.judge_handler()
    assert not daemon.exited(), daemon.said()
    assert not storm.violations, "\n".join(storm.violations)
    await asyncio.to_thread(until, lambda: descriptors() <= before, "all connections being given back")
    assert daemon.resident() - resident < 32 << 20
    # Every place in the pool that the key may have is free again.
    late = {"X-Do": "late", "X-Correlation-ID": "late"}
    together = [asyncio.to_thread(ask, daemon.port, "GET", "/files/x", key, fields=late) for _ in range(12)]
    assert [answer.status for answer in await asyncio.gather(*together)] == [200] * 12
    handler.server.close()

    def lines() -> Counter[str]:
        return Counter(line["correlation_id"] for line in daemon.lines() if line.get("event") != "begin")

    await asyncio.to_thread(until, lambda: set(lines()) >= set(handler.seen), "a line for each request")
    assert [name for name, times in lines().items() if times > 1] == ["late"]
