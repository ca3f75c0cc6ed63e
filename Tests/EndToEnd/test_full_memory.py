# SPDX-License-Identifier: Apache-2.0
"""Redis' memory is full of somebody else's data: requests are decided as ever, and what would add keys is refused."""

import re

import pytest
from fixtures.upstream import reply
from fixtures.wire import ask, until

PATH = "/api/listings"
POLICIES = [
    {"name": "org", "per": "org", "limit": "6/1d"},
    {"name": "month", "per": "key", "quota": "100/month"},
    {"name": "calls", "per": "key", "concurrency": 3},
    {"name": "address", "per": "address", "limit": "100/1d"},
]


@pytest.fixture
def full(redis):
    """Fills it, under the policy that takes nothing away; by more than what a connection takes and gives back."""

    def fill():
        redis("CONFIG", "SET", "maxmemory-policy", "noeviction")
        redis.all([("SET", f"other:{number}", b"x" * 65536) for number in range(64)])
        used = int(re.search(rb"^used_memory:(\d+)", redis("INFO", "memory"), re.M)[1])
        redis("CONFIG", "SET", "maxmemory", str(used - 1024 * 1024))
        with pytest.raises(RuntimeError, match="^OOM "):
            redis("SET", "other:more", "x")

    return fill


@pytest.mark.parametrize("when", ["before the start", "since then"])
def test_keys_are_served_counted_and_denied_exactly(launch, redis, upstream, ctl, full, when):
    keys = [ctl.issue(name=name) for name in ("laptop", "phone", "cold")]
    if when == "before the start":
        full()
    daemon = launch(upstream, policies=POLICIES, loops=1)
    if when == "since then":
        for key in keys[:2]:
            assert ask(daemon.port, "GET", PATH, key["key"]).status == 200
        full()
    else:
        for key in keys[:2]:
            assert ask(daemon.port, "GET", PATH, key["key"]).status == 200
    for key, left in zip((0, 1, 2, 2), (3, 2, 1, 0), strict=True):
        answer = ask(daemon.port, "GET", PATH, keys[key]["key"])
        assert (answer.status, answer.limits()) == (200, (6, left))
    for key in keys:
        answer = ask(daemon.port, "GET", PATH, key["key"])
        assert (answer.status, answer.limits()) == (429, (6, 0))
    assert ask(daemon.port, "GET", PATH, "mcp_nobody").status == 401
    # A key ends, whatever the memory.
    ctl("key", "revoke", keys[0]["id"])
    # A denial is remembered for a second, and Redis not asked meanwhile.
    until(lambda: ask(daemon.port, "GET", PATH, keys[0]["key"]).status == 401, "the revocation")
    assert ask(daemon.admin, "GET", "/readyz").json() == {"status": "ready"}
    assert "redis unavailable" not in daemon.said()
    assert redis.names("other:*") == {f"other:{number}" for number in range(64)}


def test_sessions_begin_go_on_and_end(launch, redis, upstream, ctl, full):
    """A session that couldn't be given to its caller would be a stranger's at its next call, again and again."""
    keys = [ctl.issue(name=name)["key"] for name in ("laptop", "phone")]
    upstream.behaviour = lambda *_: reply(b"{}", fields={"Content-Type": "application/json", "Mcp-Session-Id": "one"})
    full()
    daemon = launch(upstream, routes=[{"path": "/mcp", "mcp": True}], policies=[])
    message = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}'

    def status(key: str, method: str = "POST") -> int:
        fields = {"Content-Type": "application/json", "Mcp-Session-Id": "one"}
        return ask(daemon.port, method, "/mcp", key, fields=fields, body=message if method == "POST" else b"").status

    opened = ask(daemon.port, "POST", "/mcp", keys[0], fields={"Content-Type": "application/json"}, body=message)
    assert (opened.status, opened["Mcp-Session-Id"]) == (200, "one")
    assert (status(keys[0]), status(keys[1])) == (200, 404)
    assert status(keys[0], "DELETE") == 200
    assert status(keys[0]) == 404
    # The sidecar goes on telling that it is there.
    assert "policies can't be published" not in daemon.said()


def test_operators_are_told_that_nothing_was_changed(launch, redis, upstream, ctl, full):
    daemon = launch(upstream, policies=POLICIES, loops=1)
    key = ctl.issue()["key"]
    full()
    before = {name: redis("DUMP", name) for name in redis.names("tg:1:{acme}*") | redis.names("*cred*")}
    said = f"tollgatectl: {redis.url} has no memory left for it (maxmemory); nothing was changed, give it more\n"
    for words in (("key", "issue", "--org", "acme", "--name", "x"), ("org", "create", "bravo"), ("plan", "set", "pro", "org=9/1s")):
        done = ctl.run(*words)
        assert (done.returncode, done.stdout, done.stderr) == (69, "", said), words
    assert {name: redis("DUMP", name) for name in redis.names("tg:1:{acme}*") | redis.names("*cred*")} == before
    # What is read, and what ends something, is done.
    assert "acme" in ctl("org", "list")
    ctl("org", "suspend", "acme")
    assert ask(daemon.port, "GET", PATH, key).status == 401
    ctl("org", "resume", "acme")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    # Calls are counted later, and the log says why.
    until(lambda: "warning redis refuses a script" in daemon.said(), "the refusal of usage being told")
    assert re.search(r"warning redis refuses a script .*script=usage", daemon.said())
    redis("CONFIG", "SET", "maxmemory", "0")
    until(lambda: redis.names("tg:1:{acme}:u:*"), "usage being counted")
