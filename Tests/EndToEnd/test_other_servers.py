# SPDX-License-Identifier: Apache-2.0
"""Valkey 9 does what Redis 7 does; Redis 6.2 is told to be too old."""

import re

import pytest
from fixtures.managed_redis import KeysWatch
from fixtures.other_servers import old_redis, valkey
from fixtures.programs import Control
from fixtures.redis_server import RedisServer
from fixtures.wire import ask, until
from test_greeting import is_named
from test_managed_redis import PATH, POLICIES, all_works
from test_redis_deployment import run_all_verbs


@pytest.fixture
def redis(folder):
    server = RedisServer(folder, executable=valkey())
    server.start()
    yield server
    server.stop()


def test_all_that_the_product_does_works_with_valkey(launch, upstream, redis, ctl):
    assert re.search(rb"\bvalkey_version:9\.", redis("INFO", "server"))
    watch = KeysWatch(redis)
    daemon = launch(upstream, policies=POLICIES)
    all_works(daemon, ctl, upstream, "first")

    def sidecar_runs(key: str):
        assert [ask(daemon.port, "GET", PATH, key).status for _ in range(3)] == [200] * 3
        until(lambda: redis.names("tg:1:{acme}:u:*"), "usage being counted")

    run_all_verbs(ctl, sidecar_runs)
    daemon.stop()
    watch.ended()
    assert watch.compared > 100 and watch.undeclared == [], sorted(set(watch.undeclared))[:20]
    assert not re.search(r"^\S+ (?:warning|error) .*\bredis\b", daemon.said(), re.MULTILINE), daemon.said()


def test_valkey_tells_whether_a_change_is_on_its_disk(redis, ctl):
    """As Redis does from 7.2 on."""
    key = ctl.issue()["id"]
    # The fixture's server leaves it to the system when it writes.
    late = ctl.run("key", "revoke", key)
    assert (late.returncode, late.stdout) == (0, f"Key {key} revoked.\n")
    said = "the server doesn't have it on its disk yet: a crash of its machine now would undo it"
    assert late.stderr == f"tollgatectl: warning: {said}\n"
    redis("CONFIG", "SET", "appendfsync", "always")
    assert ctl("key", "revoke", key) == f"Key {key} was revoked before.\nOn this server's disk.\n"
    redis("CONFIG", "SET", "appendonly", "no")
    assert ctl("key", "revoke", key) == f"Key {key} was revoked before.\n"


def test_a_real_redis_of_before_7_is_too_old(launch, upstream, folder):
    (folder / "old").mkdir()
    old = RedisServer(folder / "old", executable=old_redis())
    old.start()
    try:
        assert b"redis_version:6.2.14" in old("INFO", "server")
        is_named(launch, upstream, old.url, "too_old", "Redis 6.2.14 is too old: 7.0 or later, or Valkey")
        # Nothing was written there.
        assert old("DBSIZE") == 0
        assert Control(old.url).run("key", "list", "--org", "acme").returncode == 69
    finally:
        old.stop()
