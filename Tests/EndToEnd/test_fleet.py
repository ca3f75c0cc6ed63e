# SPDX-License-Identifier: Apache-2.0
"""Several sidecars, one Redis: one limit."""

import json
import sys

import pytest
from fixtures.clients import run_client
from fixtures.wire import Connection


@pytest.mark.parametrize("limit,rate,burst", [("20/10s", 2, 20), ("150/1s", 150, 150), ("100/1s", 100, 40)])
def test_four_daemons_and_eight_callers_share_one_limit(launch, upstream, key, limit, rate, burst):
    policies = [{"name": "org", "per": "org", "limit": limit, "burst": burst}]
    daemons = [launch(upstream, loops=1, policies=policies, log={"level": "info", "access": "off"}) for _ in range(4)]
    done = run_client(sys.executable, "hammer.py", "5", *(str(daemon.port) for daemon in daemons), key=key)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    admitted = said["statuses"].get("200", 0)
    assert set(said["statuses"]) == {"200", "429"}
    # What reached the handler is what was admitted, and never one more than the bucket held and was given.
    assert len(upstream.requests) == admitted
    assert admitted <= burst + rate * said["outer"]
    assert admitted >= int(0.99 * (burst + rate * said["inner"]))


def test_one_bucket_is_seen_by_all(launch, upstream, key):
    policies = [{"name": "org", "per": "org", "limit": "10/1h"}]
    daemons = [launch(upstream, policies=policies) for _ in range(3)]
    connections = [Connection(daemon.port) for daemon in daemons]
    answers = [connections[n % 3].request("GET", "/api/listings", {"X-API-Key": key}) for n in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert [answer.limits()[1] for answer in answers] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    for connection in connections:
        connection.close()


def test_eight_callers_that_race_for_the_last_token(launch, upstream, key):
    from concurrent.futures import ThreadPoolExecutor

    policies = [{"name": "org", "per": "org", "limit": "50/1h"}]
    daemons = [launch(upstream, policies=policies) for _ in range(2)]

    def run(n: int) -> list[int]:
        with Connection(daemons[n % 2].port) as connection:
            return [connection.request("GET", "/api/listings", {"X-API-Key": key}).status for _ in range(20)]

    with ThreadPoolExecutor(8) as callers:
        statuses = [status for mine in callers.map(run, range(8)) for status in mine]
    assert statuses.count(200) == 50
    assert statuses.count(429) == 110
