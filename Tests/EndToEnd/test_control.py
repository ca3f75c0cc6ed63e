# SPDX-License-Identifier: Apache-2.0
"""What operators change with tollgatectl, beside what callers of a running daemon meet on their next request."""

import json
import re
import time

import pytest
from fixtures.redis_server import clock
from fixtures.wire import PROCESS, ask, until

PATH = "/api/listings"
POLICIES = [
    {"name": "org", "per": "org", "limit": "50/1d"},
    {"name": "search", "per": "key", "limit": "20/1d"},
    {"name": "monthly", "per": "org", "quota": "30/month"},
    {"name": "streams", "per": "key", "concurrency": 4},
    {"name": "address", "per": "address", "limit": "1000/1d"},
    {"name": "trial", "per": "key", "limit": "5/1d", "mode": "shadow"},
]


@pytest.fixture
def daemon(launch, upstream, ctl):
    daemon = launch(upstream, policies=POLICIES)
    until(lambda: ctl.run("quota", "show", "--global").returncode == 0, "its policies published", pause=PROCESS)
    return daemon


def get(daemon, key: str):
    return ask(daemon.port, "GET", PATH, key)


def capacities(answer) -> dict[str, int]:
    items = (item.split(";") for item in answer["RateLimit-Policy"].split(", "))
    return {item[0].strip('"'): int(item[1].removeprefix("q=")) for item in items}


def failed(ctl, code: int, *arguments: str) -> str:
    done = ctl.run(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done
    return done.stderr


# ---- Organizations ---------------------------------------------------------------------------------------------------


def test_suspending_refuses_at_once_and_resuming_brings_back_no_revoked_key(daemon, ctl):
    key, revoked, other = ctl.issue(), ctl.issue("acme", "old"), ctl.issue("other")
    assert [get(daemon, one["key"]).status for one in (key, revoked, other)] == [200, 200, 200]
    ctl.revoke(revoked["id"])
    assert ctl("org", "suspend", "acme") == "Organization acme suspended: all its keys are refused.\n"
    assert [get(daemon, one["key"]).status for one in (key, revoked, other)] == [401, 401, 200]
    assert {"suspended", "revoked"} == {line["reason"] for line in daemon.lines(6) if line["status"] == 401}
    assert ctl("org", "suspend", "acme") == "Organization acme was suspended before.\n"
    assert json.loads(ctl("key", "show", key["id"], "--json"))["status"] == "suspended"
    done = json.loads(ctl("org", "resume", "acme", "--json"))
    assert done == {"org": "acme", "status": "active", "changed": True}
    assert [get(daemon, one["key"]).status for one in (key, revoked)] == [200, 401]
    assert ctl("org", "resume", "acme") == "Organization acme was active before.\n"
    assert failed(ctl, 66, "org", "suspend", "nobody") == (
        "tollgatectl: organization nobody does not exist; create it with: tollgatectl org create nobody\n"
    )


def test_own_numbers_hold_on_the_next_request(daemon, ctl):
    one, two = ctl.issue(), ctl.issue("acme", "two")
    assert capacities(get(daemon, one["key"])) == {"org": 50, "search": 20, "monthly": 30, "streams": 4}
    said = ctl("org", "limit", "acme", "org=70/1d:90", "search=25/1d", "monthly=300/month", "streams=8")
    assert said == "Own limits of organization acme: monthly=300/month org=70/d:90 search=25/d streams=8\n"
    assert capacities(get(daemon, one["key"])) == {"org": 90, "search": 25, "monthly": 300, "streams": 8}
    assert ctl("key", "limit", one["id"], "search=26/1d", "streams=1") == (
        f"Own limits of key {one['id']}: search=26/d streams=1\n"
    )
    assert capacities(get(daemon, one["key"])) == {"org": 90, "search": 26, "monthly": 300, "streams": 1}
    assert capacities(get(daemon, two["key"])) == {"org": 90, "search": 25, "monthly": 300, "streams": 8}
    ctl("org", "limit", "acme", "search=default", "org=default")
    assert json.loads(ctl("key", "limit", one["id"], "streams=default", "--json")) == {
        "id": one["id"],
        "limits": {"search": "26/d"},
    }
    assert capacities(get(daemon, one["key"])) == {"org": 50, "search": 26, "monthly": 300, "streams": 8}


def test_numbers_that_fit_no_policy_are_refused(daemon, ctl):
    issued = ctl.issue()
    assert "no policy serch in the policies of sidecar" in failed(ctl, 65, "org", "limit", "acme", "serch=1/s")
    assert failed(ctl, 65, "key", "limit", issued["id"], "org=1/s") == (
        "tollgatectl: policy=limit: policy org is per org, a key can override only those per key\n"
    )
    assert failed(ctl, 65, "org", "limit", "acme", "address=1/s").endswith("only those per key or org\n")
    assert failed(ctl, 65, "plan", "set", "pro", "monthly=1/s") == (
        "tollgatectl: policy=limit: policy monthly is a quota such as 30/month, not a rate\n"
    )
    assert failed(ctl, 65, "plan", "set", "pro", "streams=5/day").endswith(
        "a number of concurrent requests such as 4, not a quota\n"
    )
    assert "expected a rate such as" in failed(ctl, 64, "org", "limit", "acme", "org=much")
    assert "give each policy once" in failed(ctl, 64, "org", "limit", "acme", "org=1/s", "org=2/s")
    assert failed(ctl, 66, "key", "limit", "acme/aaaaaaaaaa", "search=1/s") == (
        "tollgatectl: key acme/aaaaaaaaaa does not exist\n"
    )
    assert json.loads(ctl("org", "show", "acme", "--json"))["limits"] == {}


def test_deleting_leaves_nothing_and_no_key_comes_back(daemon, ctl, redis):
    keys = [ctl.issue("gone", f"k{number}") for number in range(4)]
    assert all(get(daemon, one["key"]).status == 200 for one in keys)
    other = ctl.issue("gone2")
    assert get(daemon, other["key"]).status == 200
    assert "give --yes where nobody can be asked" in failed(ctl, 64, "org", "delete", "gone")
    assert get(daemon, keys[0]["key"]).status == 200
    assert ctl("org", "delete", "gone", "--yes") == "Organization gone deleted, and its 4 keys.\n"
    assert all(get(daemon, one["key"]).status == 401 for one in keys)
    left = {name for name in redis.names() if "{gone}" in name}
    assert left <= {name for name in left if ":u:" in name}, left
    assert len(redis.names("tg:1:cred:*")) == 1
    ctl("org", "create", "gone")
    assert all(get(daemon, one["key"]).status == 401 for one in keys)
    assert get(daemon, other["key"]).status == 200
    assert "does not exist" in failed(ctl, 66, "org", "delete", "nobody", "--yes")


def test_a_deletion_that_was_interrupted_lets_nobody_in_and_is_done_again(daemon, ctl, redis):
    issued = ctl.issue("gone")
    assert get(daemon, issued["key"]).status == 200
    # As it is after the first step.
    redis("HSET", "tg:1:{gone}", "status", "deleted", "rev", "00000000000000dd")
    assert get(daemon, issued["key"]).status == 401
    assert failed(ctl, 73, "org", "create", "gone") == "tollgatectl: organization gone exists already\n"
    assert "does not exist" in failed(ctl, 66, "key", "issue", "--org", "gone", "--name", "new")
    assert ctl("org", "delete", "gone", "--yes") == "Organization gone deleted, and its 1 key.\n"
    assert get(daemon, issued["key"]).status == 401


# ---- Keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_issued_with_scopes_networks_and_a_beginning(launch, upstream, ctl, redis):
    routes = [{"path": PATH, "scopes": ["listings:read"]}]
    daemon = launch(upstream, routes=routes, policies=POLICIES, trusted_proxies=["127.0.0.0/8"])
    inside, outside = ({"X-Forwarded-For": address} for address in ("203.0.113.7", "198.51.100.7"))
    # It has to be tried before it begins; where the machine is too busy for that, one that begins later is.
    for number, seconds in enumerate((2, 8, 20)):
        issued = ctl.issue(
            "acme", f"office{number}", "--scope", "listings:read", "--scope", "b", "--allow-from", "203.0.113.0/24",
            "--allow-from", "::1", "--not-before", f"{seconds}s", "--expires", "1h",
        )  # fmt: skip
        early = ask(daemon.port, "GET", PATH, issued["key"], fields=inside).status
        if early == 401:
            break
    assert early == 401
    until(lambda: ask(daemon.port, "GET", PATH, issued["key"], fields=inside).status == 200, "its beginning")
    assert ask(daemon.port, "GET", PATH, issued["key"], fields=outside).status == 403
    shown = json.loads(ctl("key", "show", issued["id"], "--json"))
    assert (shown["scopes"], shown["allow_from"]) == (["b", "listings:read"], ["203.0.113.0/24", "::1/128"])
    assert shown["not_before"] and shown["expires_at"]
    text = ctl("key", "show", issued["id"])
    assert re.search(r"^Scopes: +b listings:read$", text, re.MULTILINE)
    assert re.search(r"^Only from: +203.0.113.0/24 ::1/128$", text, re.MULTILINE)
    none = ctl.issue("acme", "none")
    assert ask(daemon.port, "GET", PATH, none["key"], fields=inside).status == 403
    for arguments, expected in [
        (["--scope", 'a"b'], "expected a scope such as listings:read"),
        (["--allow-from", "10.0.0.1/8"], "the network is 10.0.0.0/8"),
        (["--not-before", "soon"], "expected a time from now"),
        (["--limit", "search=default"], "a new key has none to remove"),
    ]:
        assert expected in failed(ctl, 64, "key", "issue", "--org", "acme", "--name", "x", *arguments)
    assert "before the key's end" in failed(
        ctl, 65, "key", "issue", "--org", "acme", "--name", "x", "--expires", "1h", "--not-before", "2h"
    )


def test_both_keys_work_in_the_time_of_grace_and_share_their_buckets(daemon, ctl):
    old = ctl.issue("acme", "laptop", "--limit", "search=7000/1d", "--scope", "a", "--allow-tool", "x*", "--expires", "1d")
    # Room to ask again and again below.
    ctl("org", "limit", "acme", "org=9000/1d", "monthly=9000/month")
    assert get(daemon, old["key"]).status == 200
    new = json.loads(ctl("key", "rotate", old["id"], "--grace", "1h", "--json"))
    assert re.fullmatch(r"mcp_[A-Za-z0-9_-]{43}", new["key"]) and new["key"] != old["key"]
    assert (new["replaces"], new["name"], new["expires_at"]) == (old["id"], "laptop", old["expires_at"])
    assert get(daemon, old["key"]).status == 200
    answer = get(daemon, new["key"])
    # Of the same bucket: a third call.
    assert answer.status == 200
    assert dict(re.findall(r'"(\w+)";r=(\d+)', answer["RateLimit"]))["search"] == "6997"
    refused = failed(ctl, 73, "key", "rotate", old["id"])
    assert f"was replaced already by {new['id']}" in refused
    shown = json.loads(ctl("key", "show", new["id"], "--json"))
    assert (shown["subject"], shown["scopes"], shown["limits"]) == (old["id"].split("/")[1], ["a"], {"search": "7000/d"})
    assert shown["tools"]["allow"] == ["x*"]
    before = json.loads(ctl("key", "show", old["id"], "--json"))
    assert (before["status"], before["rotated_to"]) == ("active", new["id"])
    brief, began = ctl.issue("acme", "brief", "--limit", "search=7000/1d"), time.monotonic()
    new = json.loads(ctl("key", "rotate", brief["id"], "--grace", "2s", "--json"))
    until(lambda: get(daemon, brief["key"]).status == 401, "the end of the grace")
    # It began after this did.
    assert time.monotonic() - began > 1.9
    assert get(daemon, new["key"]).status == 200
    assert "is revoked" in failed(ctl, 73, "key", "rotate", brief["id"])
    again = json.loads(ctl("key", "rotate", new["id"], "--grace", "0s", "--json"))
    assert get(daemon, new["key"]).status == 401
    assert get(daemon, again["key"]).status == 200


def test_rotation_needs_no_free_place_and_makes_none(daemon, ctl):
    keys = [ctl.issue("acme", f"k{number}") for number in range(5)]
    assert "5 active keys" in failed(ctl, 73, "key", "issue", "--org", "acme", "--name", "sixth")
    said = ctl("key", "rotate", keys[0]["id"], "--grace", "1h")
    assert f"It replaces {keys[0]['id']}, which works until " in said
    assert get(daemon, keys[0]["key"]).status == 200
    assert "5 active keys" in failed(ctl, 73, "key", "issue", "--org", "acme", "--name", "sixth")


def test_fifteen_rotations_leave_two_working_keys(daemon, ctl):
    first = ctl.issue()
    keys, refused = [first], 0
    for _ in range(15):
        done = ctl.run("key", "rotate", keys[-1]["id"], "--grace", "1h", "--json")
        if done.returncode == 0:
            keys.append(json.loads(done.stdout))
        else:
            old, new = keys[-2]["id"], keys[-1]["id"]
            assert (done.returncode, done.stdout, done.stderr) == (
                73, "",
                f"tollgatectl: key {new} has replaced {old}, which works until its grace is over; before the next "
                f"replacement, end that with: tollgatectl key revoke {old}\n",
            )  # fmt: skip
            refused += 1
    assert (len(keys), refused) == (2, 14)
    assert [get(daemon, one["key"]).status for one in keys] == [200, 200]
    # As it says.
    ctl.revoke(first["id"])
    third = json.loads(ctl("key", "rotate", keys[1]["id"], "--grace", "30d", "--json"))
    assert [get(daemon, one["key"]).status for one in [*keys, third]] == [401, 200, 200]
    for grace in ["31d", "721h", "36500d"]:
        said = failed(ctl, 64, "key", "rotate", third["id"], "--grace", grace)
        assert "expected a time such as 24h or 7d, at most 30d, or 0s" in said


def test_both_keys_of_a_subject_have_one_number(daemon, ctl):
    """Alternating between two definitions of one bucket filled it again and again."""
    old = ctl.issue("acme", "laptop", "--limit", "search=3/1d")
    new = json.loads(ctl("key", "rotate", old["id"], "--json"))
    said = ctl("key", "limit", new["id"], "search=4/1d:5")
    assert said == f"Own limits of keys {new['id']} and {old['id']}: search=4/d:5\n"
    statuses = [get(daemon, (old, new)[number % 2]["key"]).status for number in range(40)]
    assert statuses == [200] * 5 + [429] * 35
    for one in (old, new):
        assert json.loads(ctl("key", "show", one["id"], "--json"))["limits"] == {"search": "4/d:5"}
    ctl("key", "limit", old["id"], "search=default")
    # A loop may go on with a denial that it remembers for a second.
    for one in (old, new):
        until(lambda one=one: capacities(get(daemon, one["key"]))["search"] == 20, "the configuration's number")


# ---- Plans -----------------------------------------------------------------------------------------------------------


def test_a_plan_from_beginning_to_end(daemon, ctl, redis):
    assert ctl("plan", "set", "pro", "org=100/1d", "streams=9") == "Plan pro made: 0 organizations are on it.\n"
    ctl("org", "create", "acme", "--plan", "pro", "--max-active-keys", "1")
    issued = ctl.issue()
    assert capacities(get(daemon, issued["key"])) == {"org": 100, "search": 20, "monthly": 30, "streams": 9}
    assert "has 1 active key, the most it may have" in failed(ctl, 73, "key", "issue", "--org", "acme", "--name", "second")
    assert ctl("plan", "set", "pro", "org=200/1d") == "Plan pro changed: 1 organization is on it.\n"
    wanted = {"org": 200, "search": 20, "monthly": 30, "streams": 4}
    until(lambda: capacities(get(daemon, issued["key"])) == wanted, "the changed plan")
    (one,) = json.loads(ctl("quota", "show", issued["id"], "--json"))["sets"]
    sources = {policy["name"]: policy["from"] for policy in one["policies"]}
    assert sources == {
        "org": "plan", "search": "configuration", "monthly": "configuration", "streams": "configuration",
        "trial": "configuration", "handshake": "configuration", "open-streams": "configuration",
    }  # fmt: skip
    assert failed(ctl, 73, "plan", "delete", "pro") == (
        "tollgatectl: 1 organization is on plan pro (acme); move it with: tollgatectl org plan NAME PLAN\n"
    )
    assert ctl("org", "plan", "acme", "--none") == "Organization acme is on no plan now.\n"
    assert capacities(get(daemon, issued["key"]))["org"] == 50
    assert failed(ctl, 66, "org", "plan", "acme", "gold").startswith("tollgatectl: plan gold does not exist")
    assert "pro" in ctl("plan", "list") and json.loads(ctl("plan", "show", "pro", "--json"))["organizations"] == []
    assert ctl("plan", "delete", "pro") == "Plan pro deleted.\n"
    assert ctl.run("plan", "show", "pro").returncode == 66
    assert redis.names("tg:1:{:m}:plan:*") == set()


# ---- Quotas ----------------------------------------------------------------------------------------------------------


def test_quotas_of_every_kind_are_shown_filled_and_topped_up(daemon, ctl, redis):
    issued = ctl.issue()
    for _ in range(3):
        get(daemon, issued["key"])
    now = clock(redis) * 1e6
    redis("ZADD", f"tg:1:{{acme}}:c:streams:{issued['id'].split('/')[1]}", now + 6e8, "another", now - 1, "lapsed")

    def shown() -> dict[str, dict]:
        (one,) = json.loads(ctl("quota", "show", issued["id"], "--json"))["sets"]
        return {policy["name"]: policy for policy in one["policies"]}

    policies = shown()
    assert {name: (policy["kind"], policy["remaining"]) for name, policy in policies.items()} == {
        "org": ("limit", 47), "search": ("limit", 17), "monthly": ("quota", 27), "streams": ("concurrency", 3),
        "trial": ("limit", 2), "handshake": ("limit", 120), "open-streams": ("concurrency", 100),
    }  # fmt: skip
    assert (policies["monthly"]["refill"], policies["streams"]["refill"]) == ("30/month", "at a time")
    assert [name for name, policy in policies.items() if not policy["enforced"]] == ["trial"]
    table = ctl("quota", "show", issued["id"])
    assert "configuration, shadow" in table and "at a time" in table
    assert ctl("quota", "grant", issued["id"], "search", "2") == (
        f"Policy search of key {issued['id']} has 19 of 20 left.\n"
    )
    assert json.loads(ctl("quota", "grant", "acme", "monthly", "99", "--json")) == {
        "policy": "monthly",
        "remaining": 30,
        "capacity": 30,
    }
    assert "it counts requests under way" in failed(ctl, 65, "quota", "grant", issued["id"], "streams", "1")
    ctl("quota", "reset", "acme", "--yes")
    ctl("quota", "reset", issued["id"], "--yes")
    left = {name: policy["remaining"] for name, policy in shown().items()}
    built_in = {"handshake": 120, "open-streams": 100}
    assert left == {"org": 50, "search": 20, "monthly": 30, "streams": 4, "trial": 5, **built_in}


def test_what_cannot_be_chosen_is_not_changed(launch, upstream, daemon, ctl):
    """With two live sets the first was taken, whichever that was."""
    issued = ctl.issue()
    other = launch(upstream, policies=[*POLICIES[1:], {"name": "org", "per": "org", "limit": "20/1d"}])
    until(lambda: "disagree" in ctl.run("quota", "show", "--global").stderr, "two sets", pause=PROCESS)
    shown = json.loads(ctl("quota", "show", "acme", "--json"))
    sidecars = [name for one in shown["sets"] for name in one["sidecars"]]
    assert len(sidecars) == 2
    for _ in range(2):
        assert get(daemon, issued["key"]).status == 200
    for verb in (["reset", "acme", "org"], ["reset", "acme", "--yes"], ["grant", "acme", "org", "1"]):
        said = failed(ctl, 65, "quota", *verb)
        assert "policy org is " in said and "50/d per org" in said and "20/d per org" in said
        assert "--config FILE" in said and all(name in said for name in sidecars)
    # Of this one they say the same.
    assert ctl("quota", "reset", issued["id"], "search").endswith("is full again.\n")
    assert " of 20 left" in ctl("quota", "grant", "acme", "org", "1", "--config", str(other.config))
    shown = ctl.run("quota", "show", "acme")
    assert shown.returncode == 0 and "they run by 2 policy sets" in shown.stderr
    other.stop()
    assert ctl("quota", "reset", "acme", "org").startswith("Policy org of organization acme ")


# ---- Audit -----------------------------------------------------------------------------------------------------------


def test_every_change_says_who_made_it(daemon, ctl, redis):
    issued = json.loads(ctl("--as", "ada", "org", "create", "acme", "--json")) and ctl.issue()
    ctl("org", "suspend", "acme", "--as", "bob")
    ctl("org", "resume", "acme")
    ctl("org", "limit", "acme", "org=9/1d")
    ctl("key", "limit", issued["id"], "search=9/1d", "streams=default")
    new = json.loads(ctl("key", "rotate", issued["id"], "--grace", "0s", "--json"))
    ctl("key", "revoke", new["id"])
    ctl("plan", "set", "pro", "org=9/1d")
    ctl("org", "plan", "acme", "pro")
    entries = [json.loads(line) for line in ctl("audit", "acme", "--json").splitlines()]
    assert [(entry["what"], entry["target"], entry["detail"]) for entry in entries] == [
        ("org.create", "acme", ""),
        ("key.issue", issued["id"], "laptop"),
        ("org.suspend", "acme", ""),
        ("org.resume", "acme", ""),
        ("org.limit", "acme", "org=9/d"),
        ("key.limit", issued["id"], "search=9/d streams=default"),
        ("key.rotate", issued["id"], f"to {new['id']}, grace 0 s"),
        ("key.revoke", new["id"], ""),
        ("org.plan", "acme", "pro"),
    ]
    assert (entries[0]["who"], entries[2]["who"]) == ("ada", "bob")
    assert "@" in entries[1]["who"]
    plans = [json.loads(line) for line in ctl("audit", "--plans", "--json").splitlines()]
    assert [(entry["what"], entry["target"]) for entry in plans] == [
        # With the first key.
        ("check.add", redis("GET", "tg:1:{:m}:checks").decode().split(" ")[0]),
        ("plan.set", "pro"),
    ]
    # Nothing of the keys themselves.
    stream = repr(redis("XRANGE", "tg:1:{acme}:audit", "-", "+"))
    assert issued["key"] not in stream and new["key"] not in stream and "mcp_" not in stream
    assert len(ctl("audit", "acme", "--most", "2").splitlines()) == 3
    assert ctl.run("audit", "nobody").returncode == 66
