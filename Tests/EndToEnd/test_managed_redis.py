# SPDX-License-Identifier: Apache-2.0
"""All that the product does, beside servers that other people run: each of their rules by itself, and all of them."""

import json
import re
import threading
from dataclasses import replace

import pytest
from fixtures.managed_redis import ADMINISTRATION, KeysWatch, ManagedRedis, Rules
from fixtures.programs import Control
from fixtures.upstream import reply
from fixtures.wire import PROCESS, Connection, ask, request_bytes, until
from test_redis_deployment import run_all_verbs

PATH = "/api/listings"
PASSWORD, OTHER = "f1rst-word", "an0ther-word"
POLICIES = [
    {"name": "org", "per": "org", "limit": "1000/1d"},
    {"name": "daily", "per": "key", "quota": "1000/day"},
    {"name": "calls", "per": "key", "concurrency": 2},
    {"name": "address", "per": "address", "limit": "1000/1d"},
    {"name": "all", "per": "global", "limit": "1000/1d"},
]

RULES = {
    "no administration": Rules(refused=ADMINISTRATION),
    "neither INFO nor WAIT": Rules(refused=ADMINISTRATION | {"INFO", "WAIT", "WAITAOF", "CLIENT", "COMMAND"}),
    "scripts on another node": Rules(forgets_scripts=True),
    "declared keys": Rules(declared_keys=True),
    "3 999 arguments": Rules(most_arguments=3999),
    "a password": Rules(asks_for_password=True),
    "idle connections closed": Rules(closes_idle=1.5),
}
RULES["all at once"] = Rules(
    refused=ADMINISTRATION, forgets_scripts=True, declared_keys=True, most_arguments=3999, asks_for_password=True, closes_idle=1.5
)


@pytest.fixture
def managed(redis):
    started: list[ManagedRedis] = []

    def start(rules: Rules) -> ManagedRedis:
        started.append(ManagedRedis(redis.path, rules, PASSWORD if rules.asks_for_password else ""))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def file(folder):
    place = folder / "password"
    place.write_text(PASSWORD)
    return place


def begin(launch, upstream, server: ManagedRedis, file, **settings):
    password = {"password_file": str(file)} if server.rules.asks_for_password else {}
    return launch(upstream, redis_url=server.url(), policies=POLICIES, redis_settings=password, **settings)


def said_of_redis(daemon) -> list[str]:
    """Lines above debug."""
    return re.findall(r"^\S+ (?:info|notice|warning|error) (?:.* )?redis .*$", daemon.said(), re.MULTILINE)


def opens_session(request, _):
    return reply(b'{"jsonrpc":"2.0","id":1,"result":{}}', fields={"Content-Type": "application/json", "Mcp-Session-Id": "s-1"})


def messages(daemon, key: str, session: str | None = None):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
    if session is None:
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    fields |= {"MCP-Protocol-Version": "2025-06-18", "Mcp-Session-Id": session} if session else {}
    return ask(daemon.port, "POST", "/mcp", key, fields=fields, body=json.dumps(body).encode())


def all_works(daemon, control: Control, upstream, org: str):
    """Calls served, counted and denied; slots, quotas, sessions; issued, limited, revoked; usage."""
    issued, other = control.issue(org), control.issue(org, "other")
    key = issued["key"]
    control("org", "limit", org, "org=100/1d")
    first = ask(daemon.port, "GET", PATH, key)
    assert (first.status, first.limits()) == (200, (100, 99))
    assert [ask(daemon.port, "GET", PATH, key).limits()[1] for _ in range(3)] == [98, 97, 96]
    assert ask(daemon.port, "GET", PATH, "mcp_nobody").status == 401

    # Slots: two are held, a third is refused, and they are given back.
    arrived, goes = threading.Semaphore(0), threading.Event()

    def wait(*_):
        arrived.release()
        return goes.wait(30) and reply(b"{}")

    before, upstream.behaviour = upstream.behaviour, wait
    holders = [Connection(daemon.port) for _ in range(2)]
    for holder in holders:
        holder.send(request_bytes("GET", PATH, {"X-API-Key": key}))
        assert arrived.acquire(timeout=30)
    assert ask(daemon.port, "GET", PATH, key).status == 429
    goes.set()
    for holder in holders:
        assert holder.response().status == 200
        holder.close()
    upstream.behaviour = before
    until(lambda: ask(daemon.port, "GET", PATH, key).status == 200, "the slots being given back")

    # Sessions are their openers'.
    upstream.behaviour = opens_session
    assert messages(daemon, key).status == 200
    assert messages(daemon, key, "s-1").status == 200
    assert messages(daemon, other["key"], "s-1").status == 404
    upstream.behaviour = before

    # A quota that is used up, by the operator's number.
    control("key", "limit", other["id"], "daily=3/day")
    statuses = [ask(daemon.port, "GET", PATH, other["key"]).status for _ in range(5)]
    assert statuses[-1] == 429 and statuses[0] == 200 and statuses == sorted(statuses), statuses
    until(lambda: control.run("quota", "show", "--global").returncode == 0, "its policies published", pause=PROCESS)
    assert "daily" in control("quota", "show", other["id"])

    # Revoked at once, listed, counted.
    control.revoke(issued["id"])
    assert ask(daemon.port, "GET", PATH, key).status == 401
    assert other["id"] in control("key", "list", "--org", org)
    # Four, two that held slots and one after them, two messages, and what the quota let through.
    served = 4 + 2 + 1 + 2 + statuses.count(200)
    until(lambda: re.search(rf"^total +{served} ", control("usage", org), re.MULTILINE), "usage being counted", pause=PROCESS)
    control("org", "delete", org, "--yes")
    # Its quota's refusal is remembered for a second.
    until(lambda: ask(daemon.port, "GET", PATH, other["key"]).status == 401, "its organization being gone")


@pytest.mark.parametrize("name", RULES)
def test_all_that_the_product_does_works(launch, upstream, redis, managed, file, name):
    rules = RULES[name]
    server, watch = managed(rules), KeysWatch(redis)
    daemon = begin(launch, upstream, server, file)
    control = Control(server.url(PASSWORD if rules.asks_for_password else ""))
    if rules.closes_idle:
        key = control.issue("idle")["key"]
        for _ in range(2):
            before = server.idle_closed
            # Each loop's connection at least once. Where there are plans, they are asked for every second, and none is idle.
            until(lambda: server.idle_closed >= before + 4, "idle connections being closed")
            statuses = [ask(daemon.port, "GET", PATH, key).status for _ in range(4)]
            # A question on its way while its connection is closed may have been charged, and isn't asked again.
            assert statuses.count(200) >= 3 and set(statuses) <= {200, 503}, statuses
        # As it started.
        assert [line.split(" ")[1] for line in said_of_redis(daemon)] == ["info"], daemon.said()
        # Whatever is asked at the moment of a closing is refused, which nothing below may be.
        server.leave_idle_ones_alone()
        until(lambda: [ask(daemon.port, "GET", PATH, key).status for _ in range(4)] == [200] * 4, "both loops connected anew")
    all_works(daemon, control, upstream, "first")

    def sidecar_runs(key: str):
        assert [ask(daemon.port, "GET", PATH, key).status for _ in range(3)] == [200] * 3
        until(lambda: redis.names("tg:1:{acme}:u:*"), "usage being counted")

    run_all_verbs(control, sidecar_runs)
    if rules.asks_for_password:
        wrong = Control(server.url("wr0ng")).run("org", "list")
        assert (wrong.returncode, wrong.stdout) == (77, "") and "wr0ng" not in wrong.stderr
        for word, closes in ((OTHER, False), (PASSWORD, True)):
            server.change_password(word, closes)
            beside = file.with_suffix(".new")
            beside.write_text(word)
            beside.replace(file)
            control = Control(server.url(word))
            key = control.issue(f"after-{closes}".lower())["key"]

            def is_served(key=key) -> bool:
                served = ask(daemon.port, "GET", PATH, key).status
                assert served in (200, 503)
                return served == 200

            until(is_served, f"the other password at work: {daemon.said()}")
            daemon.wait_until_ready()
            all_works(daemon, control, upstream, f"again-{closes}".lower())
        assert PASSWORD not in daemon.said() and OTHER not in daemon.said()
    assert ask(daemon.admin, "GET", "/readyz").status == 200
    daemon.stop()
    # What was refused was asked for in vain, and without need.
    assert set(server.refused) <= ({"INFO", "WAIT", "WAITAOF"} if "INFO" in rules.refused else set()), server.refused
    watch.ended()
    assert watch.compared > 100
    assert watch.undeclared == [], sorted(set(watch.undeclared))[:20]
    # Far from the least that any of them takes, in a call of a script too.
    assert max(server.most_arguments, watch.most_arguments) <= 1000


def test_many_keys_at_once_stay_within_their_arguments(launch, upstream, redis, managed, file):
    """A loop reads up to 64 records in one reply, `org delete` takes all of them away."""
    server = managed(replace(RULES["3 999 arguments"], most_arguments=1000))
    control = Control(server.url())
    control("org", "create", "many", "--max-active-keys", "200")
    watch = KeysWatch(redis)
    keys = [control.issue("many", f"k{number}")["key"] for number in range(70)]
    daemon = begin(launch, upstream, server, file, loops=1)
    connections = [Connection(daemon.port) for _ in keys]
    for connection, key in zip(connections, keys):
        connection.send(request_bytes("GET", PATH, {"X-API-Key": key}))
    assert [connection.response().status for connection in connections] == [200] * len(keys)
    for connection in connections:
        connection.close()
    assert control("key", "list", "--org", "many", "--json").count('"id"') == len(keys)
    control("org", "delete", "many", "--yes")
    assert server.refused == []
    watch.ended()
    assert watch.undeclared == [] and watch.most_arguments <= 1000
