# SPDX-License-Identifier: Apache-2.0
"""Records that are too long: who may write them, and whom they keep from being served."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.wire import ask

PATH = "/api/listings"
POLICIES = [
    {"name": "org", "per": "org", "limit": "100000/1d"},
    {"name": "search", "per": "key", "limit": "100000/1d"},
]


@pytest.fixture
def daemon(launch, upstream):
    return launch(upstream, policies=POLICIES)


def record(issued: dict) -> str:
    organization, local = issued["id"].split("/")
    return f"tg:1:{{{organization}}}:k:{local}"


def lengthen(redis, issued: dict, octets: int):
    """As an older tollgatectl could write it, or something else."""
    redis("HSET", record(issued), "tools", ("tool " * (octets // 5)).strip())
    redis("HSET", record(issued).partition(":k:")[0], "rev", hashlib.sha256(issued["key"].encode()).hexdigest()[:16])


def test_more_rules_than_a_record_may_have_are_refused(ctl, redis):
    issued = ctl.issue("acme", "tools", "--allow-tool", "t" * 128)

    def refused(*arguments: str) -> str:
        done = ctl.run(*arguments)
        assert (done.returncode, done.stdout) == (65, ""), done
        return done.stderr

    tools = [word for number in range(64) for word in ("--allow-tool", f"{number:0128}")]
    assert refused("key", "issue", "--org", "acme", "--name", "x", *tools) == (
        "tollgatectl: a key would have 8255 bytes of rules, most of them tools; limits, tools, scopes and networks may "
        "have 8192 together, so use patterns such as db_*, or several keys\n"
    )
    scopes = [word for number in range(64) for word in ("--scope", f"{number:0128}")]
    assert "most of them scopes" in refused("key", "issue", "--org", "acme", "--name", "x", *scopes)
    networks = [word for number in range(900) for word in ("--allow-from", f"10.{number // 256}.{number % 256}.0/24")]
    assert "most of them networks" in refused("key", "issue", "--org", "acme", "--name", "x", *networks)
    limits = [f"p{number:030}={number + 1}/1d" for number in range(250)]
    options = [word for limit in limits for word in ("--limit", limit)]
    assert "most of them limits" in refused("key", "issue", "--org", "acme", "--name", "x", *options)
    for arguments in (["org", "limit", "acme"], ["plan", "set", "pro"], ["key", "limit", issued["id"]]):
        assert "8192 together" in refused(*arguments, *limits)
    # Nor by and by.
    parts = [limits[start : start + 50] for start in range(0, 250, 50)]
    codes = [ctl.run("key", "limit", issued["id"], *part).returncode for part in parts]
    assert codes == [0, 0, 0, 0, 65]
    assert int(redis("HSTRLEN", record(issued), "limits")) <= 8192
    assert len(json.loads(ctl("key", "list", "--json").splitlines()[0])["limits"]) == 200
    assert all(len(line) < 10_000 for line in ctl("audit", "acme", "--json").splitlines())


@pytest.mark.parametrize(("count", "octets"), [(1, 3_000_000), (8, 200_000)])
def test_a_record_that_is_too_long_is_refused_alone(daemon, ctl, redis, count, octets):
    ctl("org", "create", "big", "--max-active-keys", "9")
    long = [ctl.issue("big", f"long{number}") for number in range(count)]
    good = [ctl.issue("big", "good"), ctl.issue("acme", "good")]
    for one in long:
        lengthen(redis, one, octets)

    def served(one: dict) -> set[int]:
        return {ask(daemon.port, "GET", PATH, one["key"]).status for _ in range(10)}

    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(served, one) for one in good + long]
        statuses = [answer.result() for answer in answers]
    assert statuses == [{200}] * 2 + [{503}] * count
    lines = [line for line in daemon.lines(10 * len(answers)) if line["status"] == 503]
    assert {line["reason"] for line in lines} == {"limiter_unavailable"}
    for one in long:
        # Once a loop.
        assert 1 <= daemon.times_said(f"owner={one['id']}") <= 2
    # Each loop has the connection that it began with.
    assert daemon.times_said("redis connected") == 1 and "redis unavailable" not in daemon.said()
    listed = [json.loads(line)["status"] for line in ctl("key", "list", "--org", "big", "--json").splitlines()]
    assert sorted(listed) == ["active", *["unreadable"] * count]
    ctl.revoke(long[0]["id"])
