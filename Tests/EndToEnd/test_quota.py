# SPDX-License-Identifier: Apache-2.0
"""What `tollgatectl quota` shows and resets, beside what callers of running daemons are told."""

import json

from fixtures.redis_server import clock
from fixtures.wire import PROCESS, ask, until

SLOW = [
    {"name": "address", "per": "address", "limit": "9/1d"},
    {"name": "org", "per": "org", "limit": "20/1d"},
    {"name": "search", "per": "key", "limit": "8/1d", "cost": 3},
    {"name": "ceiling", "per": "global", "limit": "30/1d"},
]


def sets(ctl, *subject: str) -> list[dict]:
    return json.loads(ctl("quota", "show", *subject, "--json"))["sets"]


def published(ctl, count: int):
    """Waits until that many sidecars have said by what they go."""
    until(lambda: _sidecars(ctl) == count, f"{count} beats", pause=PROCESS)


def _sidecars(ctl) -> int:
    done = ctl.run("quota", "show", "--global", "--json")
    return sum(len(one["sidecars"]) for one in json.loads(done.stdout)["sets"]) if done.returncode == 0 else 0


#: What a key has besides where MCP is spoken.
BUILT_IN = {"handshake": 120, "open-streams": 100}


def remaining(ctl, *subject: str) -> dict[str, int]:
    (one,) = sets(ctl, *subject)
    return {policy["name"]: policy["remaining"] for policy in one["policies"]}


def told(answer) -> dict[str, int]:
    """`{policy: r}` of a RateLimit field."""
    items = (item.split(";") for item in answer["RateLimit"].split(", "))
    return {name.strip('"'): int(r.removeprefix("r=")) for name, r, _ in items}


def test_it_shows_what_the_next_request_is_told(launch, upstream, ctl):
    daemon = launch(upstream, policies=SLOW)
    issued = ctl.issue()
    published(ctl, 1)
    assert remaining(ctl, issued["id"]) == {"org": 20, "search": 8, "ceiling": 30, **BUILT_IN}
    answer = ask(daemon.port, "GET", "/api/listings", issued["key"])
    assert answer.status == 200
    shown = remaining(ctl, issued["id"])
    # The answer is of a route that has none of these.
    assert shown == {**told(answer), **BUILT_IN} == {"org": 19, "search": 5, "ceiling": 29, **BUILT_IN}
    assert ask(daemon.port, "GET", "/nowhere").status == 404
    assert remaining(ctl, "127.0.0.1") == {"address": 8}
    # Looking has charged nothing.
    assert remaining(ctl, issued["id"]) == shown
    assert remaining(ctl, "acme") == {"org": 19}
    assert remaining(ctl, "--global") == {"ceiling": 29}


def test_an_override_shows_and_holds_at_once(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=SLOW)
    issued = ctl.issue("acme", "batch", "--limit", "search=50/1d")
    published(ctl, 1)
    answer = ask(daemon.port, "GET", "/api/listings", issued["key"])
    assert told(answer)["search"] == 47
    (one,) = sets(ctl, issued["id"])
    search = next(policy for policy in one["policies"] if policy["name"] == "search")
    assert (search["capacity"], search["remaining"], search["from"]) == (50, 47, "key")


def test_a_reset_lets_a_denied_caller_in_again(launch, upstream, ctl):
    daemon = launch(upstream, policies=SLOW)
    issued = ctl.issue()
    published(ctl, 1)
    assert [ask(daemon.port, "GET", "/api/listings", issued["key"]).status for _ in range(3)] == [200, 200, 429]
    (one,) = sets(ctl, issued["id"])
    search = next(policy for policy in one["policies"] if policy["name"] == "search")
    # Room for two of cost 1, though none for the next call, which costs 3.
    assert (search["remaining"], search["cost"]) == (2, 3)
    assert ctl("quota", "reset", issued["id"], "search") == f"Policy search of key {issued['id']} is full again.\n"
    # A loop that has just refused it may believe that for a second.
    until(lambda: ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200, "a call passing again")


def test_daemons_that_disagree_show(launch, upstream, ctl):
    launch(upstream, policies=SLOW)
    launch(upstream, policies=SLOW)
    other = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "7/1d"}])
    ctl.issue()
    published(ctl, 3)
    done = ctl.run("quota", "show", "acme", "--json")
    assert "warning: the sidecars disagree: they run by 2 policy sets" in done.stderr
    found = json.loads(done.stdout)["sets"]
    assert [(len(one["sidecars"]), one["policies"][0]["capacity"]) for one in found] == [(2, 20), (1, 7)]
    # The later one has seen the earlier ones' set, once; these see its own with their next beat.
    notice = "another sidecar goes by other policies: each counts by its own numbers"
    until(lambda: notice in other.said(), "the notice")
    (line,) = (line for line in other.said().splitlines() if notice in line)
    assert "policies.met=1" in line
    other.stop()
    # It takes its beat back when it ends; nobody waits for it to run out.
    published(ctl, 2)
    done = ctl.run("quota", "show", "acme", "--json")
    assert done.stderr == ""
    assert [len(one["sidecars"]) for one in json.loads(done.stdout)["sets"]] == [2]


def test_a_daemon_that_was_killed_is_seen_for_a_minute_and_its_policies_for_longer(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=SLOW)
    ctl.issue()
    published(ctl, 1)
    daemon.process.kill()
    daemon.process.wait()
    daemon.process = None
    (member,) = redis("ZRANGE", "tg:1:{:m}:sidecars", "0", "-1")
    redis("ZADD", "tg:1:{:m}:sidecars", int(clock(redis)) - 61, member)
    done = ctl.run("quota", "show", "acme", "--json")
    assert done.returncode == 0
    assert done.stderr == "tollgatectl: warning: no sidecar runs now; these are the policies last published\n"
    (one,) = json.loads(done.stdout)["sets"]
    assert (one["source"], one["policies"][0]["capacity"]) == ("published", 20)


def test_a_swapped_database_is_not_written_to(launch, upstream, ctl, redis):
    daemon = launch(upstream, policies=SLOW)
    published(ctl, 1)
    redis("FLUSHALL")
    redis("SET", "tg:1:{:m}:meta", "0" * 32)
    # The beat at the end, which would be the next one, changes nothing either.
    daemon.stop()
    assert redis("EXISTS", "tg:1:{:m}:sidecars") == 0
