# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a Redis that serves everybody today, and how operators hear of it."""

import json
import re
from datetime import datetime, timezone

import pytest
from fixtures.feigned_redis import FeignedRedis, passed_on
from fixtures.programs import Control
from fixtures.redis_relay import RedisRelay
from fixtures.wire import ask, until
from test_metrics import value

PATH = "/api/listings"
EVICTS = "error redis evicts keys where its memory is full: credentials, revocations and counts vanish"


def ready(daemon) -> dict:
    answer = ask(daemon.admin, "GET", "/readyz")
    assert answer.status == 200
    return answer.json()


def test_a_redis_that_evicts_anything_is_degraded(launch, redis, upstream, key):
    moment = datetime.now(timezone.utc).replace(microsecond=0)
    redis("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    daemon = launch(upstream, loops=2)
    until(lambda: ready(daemon)["status"] == "degraded", "/readyz telling")
    told = ready(daemon)
    assert moment <= datetime.fromisoformat(told.pop("since")) <= datetime.now(timezone.utc)
    assert told == {
        "status": "degraded",
        "reason": "eviction",
        "detail": "Redis takes away keys where its memory is full (maxmemory-policy allkeys-lru). Set noeviction.",
    }
    page = ask(daemon.admin, "GET", "/status", fields={"Host": "localhost"}).json()
    assert (page["status"], page["redis"]["ok"]) == ("degraded", True)
    assert daemon.times_said(f"{EVICTS} policy=allkeys-lru") == 1
    # Everybody is served.
    assert ask(daemon.port, "GET", PATH, key).status == 200
    # When Redis is back it is asked again at once, and it has its old policy.
    redis.kill()
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "Redis being away")
    redis.start()
    until(lambda: daemon.times_said("notice redis evicts no keys any more") == 1, "the policy being read again", 60)
    until(lambda: ready(daemon) == {"status": "ready"}, "being ready")
    assert daemon.times_said(EVICTS) == 1


def test_what_was_evicted_is_counted(launch, redis, upstream, key):
    redis("CONFIG", "SET", "maxmemory-policy", "volatile-ttl", "maxmemory", "1gb")
    daemon = launch(upstream)
    line = "warning redis evicts buckets where its memory is full: idle buckets start full policy=volatile-ttl"
    until(lambda: daemon.times_said(line) == 1, "the policy being told")
    assert ready(daemon) == {"status": "ready"}
    assert value(daemon, "tollgate_redis_evicted_keys_total") == 0


@pytest.mark.parametrize("user", ["default", "few"])
def test_database_show_judges_the_server(redis, ctl, user):
    ctl("org", "create", "acme")
    database = redis("GET", "tg:1:{:m}:meta").decode()
    redis("ACL", "SETUSER", "few", "on", ">secret", "~*", "+@all", "-info", "-config")
    redis("CONFIG", "SET", "maxmemory", "100mb", "appendonly", "no", "save", "")
    url = redis.url if user == "default" else f"unix://few:secret@{redis.path}"
    shown = Control(url)("database", "show")
    version = redis("INFO", "server").split(b"redis_version:")[1].split(b"\r\n")[0].decode()
    lines = dict(line.split(":", 1) for line in shown.splitlines())
    lines = {name: text.strip() for name, text in lines.items()}
    assert list(lines) == ["Database", "Server", "Memory", "Evicted keys", "Persistence", "Replicas", "Round trip"]
    assert lines["Database"] == database
    assert lines["Server"] == f"redis {version} standalone at {redis.url}: good"
    # On a busy machine it may be long.
    assert re.fullmatch(r"\d+(\.\d)? ms, redis.timeout 250 ms: (good|careful, a busy moment .*)", lines["Round trip"])
    told = json.loads(Control(url)("database", "show", "--json"))
    assert told["id"] == database
    if user == "default":
        assert re.fullmatch(r"\d+\.\d MiB used of 100.0 MiB, noeviction: good", lines["Memory"])
        assert lines["Evicted keys"] == "0: good"
        assert lines["Persistence"] == "none: bad, a restart forgets every key; set appendonly yes"
        assert lines["Replicas"] == "none: good"
        assert told["memory"]["max_bytes"] == 100 * 1024 * 1024 and told["memory"]["judgement"] == "good"
        assert told["persistence"]["judgement"] == "bad"
    else:
        todo = "permit it (deploy/redis/users.acl), or ask somebody who may"
        for name, section in (("Memory", "memory"), ("Evicted keys", "stats"), ("Persistence", "persistence"), ("Replicas", "replication")):
            assert lines[name] == f"-: unknown, the user may not ask INFO {section}; {todo}"
        assert {told[name]["judgement"] for name in ("memory", "evicted_keys", "persistence", "replicas")} == {"unknown"}


def test_nobody_has_worked_with_the_database(redis, ctl):
    assert ctl("database", "show").splitlines()[0] == "Database:     none: nobody has worked with it, or it was emptied"
    assert json.loads(ctl("database", "show", "--json"))["id"] is None


@pytest.fixture
def newer(redis):
    """Redis as of 7.2, with two replicas: `disk` is what it says of its own."""
    servers: list[FeignedRedis] = []

    def start(disk: bytes) -> Control:
        def answer(command: bytes) -> bytes:
            if b"\r\nWAITAOF\r\n" in command:
                assert b"\r\n1\r\n$1\r\n0\r\n" in command
                return disk
            if b"\r\nWAIT\r\n" in command:
                return b":2\r\n"
            if b"\r\nINFO\r\n" in command:
                text = b"# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
                return b"$%d\r\n%s\r\n" % (len(text), text)
            return passed_on(redis.path, command)

        servers.append(FeignedRedis(answer))
        return Control(servers[-1].url)

    yield start
    for server in servers:
        server.close()


def test_a_change_on_the_disk_is_told(newer, ctl):
    key = ctl.issue()["id"]
    other = newer(b"*2\r\n:1\r\n:0\r\n")
    assert other("key", "revoke", key) == f"Key {key} revoked.\nOn this server's disk; 2 of 2 replicas have it.\n"
    assert other("key", "revoke", "--wait", "none", key) == f"Key {key} was revoked before.\n"
    # A key is shown, and nothing else.
    issued = other.run("key", "issue", "--org", "acme", "--name", "x", "--json")
    assert (issued.returncode, issued.stderr) == (0, "")


def test_a_change_that_no_disk_has_yet_is_a_warning(newer, ctl):
    key = ctl.issue()["id"]
    done = newer(b"*2\r\n:0\r\n:0\r\n").run("key", "revoke", key)
    assert (done.returncode, done.stdout) == (0, f"Key {key} revoked.\n2 of 2 replicas have it.\n")
    said = "the server doesn't have it on its disk yet: a crash of its machine now would undo it"
    assert done.stderr == f"tollgatectl: warning: {said}\n"


@pytest.mark.parametrize(
    "refusal",
    [
        "ERR unknown command 'WAITAOF', with args beginning with: '1' '0' '1000' ",
        "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        "NOPERM this user has no permissions to run the 'waitaof' command",
    ],
)
def test_a_server_that_does_not_tell_of_its_disk_is_asked_in_silence(newer, ctl, refusal):
    key = ctl.issue()["id"]
    done = newer(f"-{refusal}\r\n".encode()).run("key", "revoke", key)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"Key {key} revoked.\n2 of 2 replicas have it.\n", "")


def test_a_redis_that_is_far_away_for_its_timeout_is_told(launch, redis, upstream, folder, key):
    relay = RedisRelay(folder / "relay.sock", redis.path)
    relay.delay = lambda command: 0.15
    daemon = launch(upstream, redis_url=relay.url, loops=2, redis_settings={"timeout": "500ms"})
    said = "warning redis is far away for its timeout: a busy moment makes answers too late"
    until(lambda: daemon.times_said(said) == 1, "the warning")
    trip = int(re.search(r"redis\.round_trip_ms=(\d+) redis\.timeout_ms=500", daemon.said())[1])
    assert 150 <= trip
    # Nearer, it is over, and farther away again it is told anew.
    relay.delay = lambda command: 0
    until(lambda: daemon.times_said("notice redis is near enough for its timeout again") == 1, "its end")
    assert daemon.times_said(said) == 1
