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


@pytest.mark.parametrize("loops", [1, 2])
def test_whatever_both_sides_do_each_request_gets_its_own_answer(launch, key, loops):
    seed = int(os.environ.get("TOLLGATE_SEED") or random.getrandbits(32))
    print(f"TOLLGATE_SEED={seed}")
    random.seed(seed)
    asyncio.run(blow(launch, key, loops, seed))


async def blow(launch, key: str, loops: int, seed: int):
    handler = StormyHandler()
    await handler.start()
    daemon = await asyncio.to_thread(
        launch,
        f"http://127.0.0.1:{handler.port}",
        loops=loops,
        policies=[{"name": name, "per": name, "limit": "1000000/1s"} for name in ("address", "org")],
        upstream_settings={
            "max_connections": 40,
            "response_timeout": "2s",
            "idle_timeout": "1s",
            "connect_timeout": "5s",
        },
        limits={"idle_timeout": "2s", "header_timeout": "2s", "body_bytes": "1MiB"},
    )

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    before = descriptors()
    storm = Storm(daemon.port, key, handler, seed)
    await storm.blow(callers=4, seconds=SECONDS / 6)
    resident = daemon.resident()
    await storm.blow(callers=32, seconds=SECONDS / 2)
    await storm.blow(callers=4, seconds=SECONDS / 3)
    print(f"{storm.count} requests, {storm.unanswered} unanswered, {dict(storm.answers)}")

    storm.judge_handler()
    assert not daemon.exited(), daemon.said()
    assert not storm.violations, "\n".join(storm.violations)
    await asyncio.to_thread(until, lambda: descriptors() <= before, "all connections being given back")
    assert daemon.resident() - resident < 32 << 20
    # Every place in the pool is free again.
    late = {"X-Do": "late", "X-Correlation-ID": "late"}
    together = [asyncio.to_thread(ask, daemon.port, "GET", "/files/x", key, fields=late) for _ in range(40)]
    assert [answer.status for answer in await asyncio.gather(*together)] == [200] * 40
    handler.server.close()

    def lines() -> Counter[str]:
        return Counter(line["correlation_id"] for line in daemon.lines() if line.get("event") != "begin")

    await asyncio.to_thread(until, lambda: set(lines()) >= set(handler.seen), "a line for each request")
    assert [name for name, times in lines().items() if times > 1] == ["late"]
