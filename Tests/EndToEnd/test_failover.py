# SPDX-License-Identifier: Apache-2.0
"""A replica that lags is promoted, and the old primary is demoted: nobody gets in who was let out."""

import json
import os
import time

import pytest
from fixtures.ports import free_port
from fixtures.redis_server import RedisServer
from fixtures.wire import ask, until
from test_metrics import value

PATH = "/api/listings"
POLICIES = [{"name": "org", "per": "org", "limit": "1000/1d"}]


@pytest.fixture
def replica(folder, redis):
    """Follows the primary until it is told not to."""
    port = free_port()
    redis("CONFIG", "SET", "port", str(port), "repl-diskless-sync-delay", "0")
    (folder / "replica").mkdir()
    server = RedisServer(folder / "replica")
    server.start()
    server("REPLICAOF", "127.0.0.1", str(port))
    until(lambda: b"master_link_status:up" in server("INFO", "replication"), "the replica in sync")
    yield server
    server.stop()


def in_sync(redis, replica):
    until(lambda: replica("DBSIZE") == redis("DBSIZE") and offset(replica) == offset(redis), "the replica in sync")


def offset(server) -> bytes:
    info = dict(line.split(b":", 1) for line in server("INFO", "replication").split(b"\r\n") if b":" in line)
    return info[b"master_repl_offset"]


def promote(folder, redis, replica):
    """The primary dies with what it alone knew; the replica takes its place, where clients look for it."""
    replica("REPLICAOF", "NO", "ONE")
    redis.kill()
    os.replace(replica.path, redis.path)
    replica.path = redis.path


@pytest.mark.parametrize("turn", [0, 3])
def test_no_revoked_key_is_admitted_after_a_lagging_replica_was_promoted(launch, upstream, ctl, redis, replica, folder, turn):
    """The sidecar remembers a record of a revision that the replica never saw. However many changes the new primary makes,
    none may ever bring that revision back, as a counter would after as many changes as were lost."""
    daemon = launch(upstream, policies=POLICIES)
    victim, others = ctl.issue(), [ctl.issue("acme", f"other{number}") for number in range(turn)]
    in_sync(redis, replica)
    replica("REPLICAOF", "NO", "ONE")
    # Changes that only the old primary has, and that the sidecar goes by.
    for number in range(turn + 1):
        redis("HSET", "tg:1:{acme}", "limits", f"org={500 + number}/1d")
        ctl.issue("acme", f"lost{number}") if turn < 2 else ctl("key", "revoke", ctl.issue("acme", "lost")["id"])
        assert ask(daemon.port, "GET", PATH, victim["key"]).status == 200
    promote(folder, redis, replica)
    until(lambda: ask(daemon.port, "GET", PATH, victim["key"]).status == 200, "the sidecar at the new primary", 20)
    for other in others:
        ctl.revoke(other["id"])
    ctl.revoke(victim["id"])
    for revoked in (victim, *others):
        # A machine that is busy may be too slow for a decision, which is none.
        statuses = [503]
        until(lambda: statuses.append(ask(daemon.port, "GET", PATH, revoked["key"]).status) or statuses[-1] != 503, "a decision")
        assert statuses[-1] == 401


def test_what_was_seen_revoked_stays_so_when_a_failover_has_forgotten_it(launch, upstream, ctl, redis, replica, folder):
    """One loop of one sidecar was told. The others, and other sidecars, remember the record that the new primary has again."""
    daemon, other = (launch(upstream, policies=POLICIES, loops=4) for _ in range(2))
    victim, bystander = ctl.issue(), ctl.issue("acme", "bystander")
    for sidecar in (daemon, other):
        for _ in range(8):
            assert ask(sidecar.port, "GET", PATH, victim["key"]).status == 200
    in_sync(redis, replica)
    replica("REPLICAOF", "NO", "ONE")
    ctl.revoke(victim["id"])
    assert ask(daemon.port, "GET", PATH, victim["key"]).status == 401
    promote(folder, redis, replica)
    until(lambda: ask(daemon.port, "GET", PATH, bystander["key"]).status == 200, "the sidecar at the new primary", 20)
    daemon.wait_until_ready()
    assert {ask(daemon.port, "GET", PATH, victim["key"]).status for _ in range(16)} == {401}
    assert value(daemon, "tollgate_revocations_forgotten_total") >= 1
    assert daemon.times_said("error revocation forgotten: ") == 1
    assert daemon.times_said(f"key_id={victim['id']}") == 1
    # So the database knows again, and whoever trusts it.
    until(lambda: "revoked" in ctl("key", "show", victim["id"]), "the revocation in the new primary")
    assert "tollgate, which had seen it revoked" in ctl("audit", "acme")
    assert {ask(other.port, "GET", PATH, victim["key"]).status for _ in range(8)} == {401}
    assert ask(daemon.port, "GET", PATH, bystander["key"]).status == 200


def test_a_database_that_went_back_is_told_once(launch, upstream, ctl, redis, replica, folder):
    """However many loops read the organization anew, and not for one that was created anew."""
    daemon = launch(upstream, policies=POLICIES, loops=4)
    key, other = ctl.issue()["key"], ctl.issue("bravo")["key"]

    def serve():
        for _ in range(16):
            assert ask(daemon.port, "GET", PATH, key).status == 200

    serve()
    in_sync(redis, replica)
    replica("REPLICAOF", "NO", "ONE")
    # Three changes that the sidecar reads, and the replica never hears of.
    for number in (500, 600, 700):
        ctl("org", "limit", "acme", f"org={number}/1d")
    serve()
    # And an organization that only the old primary has: no record is there to be compared.
    lost = ctl.issue("charlie")["key"]
    assert ask(daemon.port, "GET", PATH, lost).status == 200
    promote(folder, redis, replica)
    until(lambda: ask(daemon.port, "GET", PATH, key).status == 200, "the sidecar at the new primary", 20)
    daemon.wait_until_ready()
    serve()
    said = "error the database went back: changes of an organization that were seen here are lost"
    until(lambda: daemon.times_said(said) == 1, "the line")
    assert daemon.times_said(f"{said} changes=3 organization=acme") == 1
    assert value(daemon, "tollgate_database_went_back_total") == 1
    assert ask(daemon.port, "GET", PATH, other).status == 200
    # What is created anew under a name has nothing to do with what was there.
    ctl("org", "delete", "acme", "--yes")
    anew = ctl.issue()["key"]
    for _ in range(16):
        assert ask(daemon.port, "GET", PATH, anew).status == 200
    assert ask(daemon.port, "GET", PATH, lost).status == 401
    assert value(daemon, "tollgate_database_went_back_total") == 1
    assert daemon.times_said(said) == 1


def test_who_revokes_is_told_how_many_replicas_have_it(ctl, redis, replica):
    key = ctl.issue()
    in_sync(redis, replica)
    said = "1 of 1 replica has it.\n"
    patient = ("--wait", "60s")
    assert ctl("key", "revoke", *patient, key["id"]) == f"Key {key['id']} revoked.\n{said}"
    assert ctl("key", "revoke", "--wait", "none", key["id"]) == f"Key {key['id']} was revoked before.\n"
    assert ctl("org", "suspend", *patient, "acme") == f"Organization acme suspended: all its keys are refused.\n{said}"
    assert json.loads(ctl("org", "suspend", "acme", "--json")) == {"org": "acme", "status": "suspended", "changed": False}
    replica.freeze()
    late = ctl.run("key", "revoke", key["id"])
    assert (late.returncode, late.stdout) == (75, f"Key {key['id']} was revoked before.\n")
    undone = "the replica doesn't have it yet: a failover now would undo it"
    assert late.stderr == f"tollgatectl: it was done, but {undone}; repeat the command, until one has it\n"
    # A key is shown once, and not issued again.
    redis("HSET", "tg:1:{acme}", "status", "active")
    issued = ctl.run("key", "issue", "--org", "acme", "--name", "other", "--json")
    assert (issued.returncode, issued.stderr) == (0, f"tollgatectl: warning: {undone}\n")
    replica.thaw()
    assert ctl("key", "revoke", "--wait", "60s", json.loads(issued.stdout)["id"]).endswith(said)


def test_a_demoted_primary_is_no_source_of_answers(launch, upstream, ctl, redis, replica):
    """It still has its data, and would say of a revoked key that it is good: its scripts refuse, so it is 503."""
    daemon = launch(upstream, policies=POLICIES)
    known, cold = ctl.issue(), ctl.issue("acme", "cold")
    assert ask(daemon.port, "GET", PATH, known["key"]).status == 200
    in_sync(redis, replica)
    replica("REPLICAOF", "NO", "ONE")
    redis("REPLICAOF", "127.0.0.1", "1")
    before = {name: redis("DUMP", name) for name in redis.names("*:b:*")}
    for key in (known["key"], cold["key"], "mcp_nobody"):
        answer = ask(daemon.port, "GET", PATH, key)
        assert answer.status == 503
        assert answer["Retry-After"] == "1"
        assert "X-RateLimit-Limit" not in answer
    assert {name: redis("DUMP", name) for name in redis.names("*:b:*")} == before
    redis("REPLICAOF", "NO", "ONE")
    until(lambda: ask(daemon.port, "GET", PATH, known["key"]).status == 200, "a primary again")


def test_it_goes_on_where_it_left_off_when_the_replica_was_in_sync(launch, upstream, ctl, redis, replica, folder):
    daemon = launch(upstream, policies=POLICIES)
    key = ctl.issue()["key"]
    assert [ask(daemon.port, "GET", PATH, key).limits()[1] for _ in range(3)] == [999, 998, 997]
    in_sync(redis, replica)
    promote(folder, redis, replica)
    began = time.monotonic()
    answer = until(lambda: next((a for a in [ask(daemon.port, "GET", PATH, key)] if a.status == 200), None), "an answer", 20)
    assert answer.limits() == (1000, 996)
    assert time.monotonic() - began < 10
