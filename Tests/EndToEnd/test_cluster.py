# SPDX-License-Identifier: Apache-2.0
"""Redis Cluster: counts are exact over its shards, and one that is away costs its own organizations and nobody else
(docs/decisions/0033-cluster.md). Slots that move are in test_resharding.py."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.authority import Authority
from fixtures.cluster import PASSWORD, PATIENCE, Cluster, slot_of
from fixtures.failover_figures import RATE, back
from fixtures.pace import Pace
from fixtures.ports import free_port
from fixtures.programs import ROOT, Control
from fixtures.questions import Questions
from fixtures.redis_server import owed
from fixtures.server import Server
from fixtures.shard_figures import MOVE, befall, write
from fixtures.tenants import Tenant, Tenants, budget, cluster, redis, tenants  # noqa: F401
from fixtures.wire import ask, until
from test_redis import unavailable

PATH = "/api/listings"
#: More than any test asks for.
AMPLE = [{"name": "org", "per": "org", "limit": "1000000/1d"}]
#: What is used of it doesn't come back while a test runs.
TEN_A_DAY = "10/1d"
#: Where nothing befalls Redis: a busy test machine is no outage of it.
UNHURRIED = {"timeout": "5s"}


def get(daemon, tenant: Tenant, **rest):
    return ask(daemon.port, "GET", PATH, tenant.key, **rest)


def serves(daemon, tenant: Tenant) -> bool:
    return get(daemon, tenant).status == 200


def are_served(daemon, *undisturbed: Tenant, times: int = 8):
    """Whatever befalls others, so often in a row. On a busy machine an answer of Redis may come too late now and then."""
    for tenant in undisturbed:
        for _ in range(times):
            while (answer := get(daemon, tenant)).status == 503:
                assert daemon.line_of(answer)["reason"] == "limiter_slow"
            assert answer.status == 200


def warm(daemon, *known: Tenant):
    """Each loop knows their keys."""
    for tenant in known:
        until(
            lambda: [get(daemon, tenant).status for _ in range(8)] == [200] * 8, f"{tenant.org} being served", PATIENCE
        )


def readiness(daemon) -> tuple[int, dict]:
    answer = ask(daemon.admin, "GET", "/readyz")
    return answer.status, answer.json()


def status(daemon) -> dict:
    return ask(daemon.admin, "GET", "/status", fields={"Host": "localhost"}).json()


def is_denied(answer, *policies: str):
    assert answer.status == 429
    assert answer.json()["violated-policies"] == list(policies)


def is_owed(node, bucket: str, tokens: float):
    """What is given back arrives a moment later; a day's limit gives next to nothing back by itself."""
    until(
        lambda: abs((owed(node, bucket) if node("EXISTS", bucket) else 0) - tokens) < 0.1, f"{tokens} owed in {bucket}"
    )


# ---- Counting --------------------------------------------------------------------------------------------------------


def test_keys_on_each_shard_are_counted_exactly_over_four_sidecars(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    policies = [{"name": "org", "per": "org", "limit": TEN_A_DAY}]
    daemons = [launch(upstream, policies=policies, redis_settings=UNHURRIED) for _ in range(4)]
    for tenant in everywhere:
        for turn in range(10):
            answer = get(daemons[turn % 4], tenant)
            assert answer.status == 200
            assert answer.limits() == (10, 9 - turn)
            assert answer["RateLimit-Policy"] == '"org";q=10;w=86400'
        for daemon in daemons:
            is_denied(get(daemon, tenant), "org")
        is_owed(tenant.home, tenant.bucket("org"), 10)
        # No other node has heard of it.
        assert [cluster.owner(tenant.bucket("org"))] == [
            primary for primary in cluster.primaries if primary("KEYS", f"*{{{tenant.org}}}*")
        ]
    # All at once, by a key that has used nothing: not one too many.
    (crowded,) = tenants.everywhere()[:1]
    with ThreadPoolExecutor(16) as crowd:
        statuses = list(crowd.map(lambda turn: get(daemons[turn % 4], crowded).status, range(80)))
    assert sorted(statuses) == [200] * 10 + [429] * 70
    # A key that is none is none, wherever it would lie.
    for number in range(12):
        assert ask(daemons[0].port, "GET", PATH, f"mcp_{number:043}").status == 401
    assert len(upstream.requests) == 10 * (len(everywhere) + 1)


SPANNING = [
    {"name": "org", "per": "org", "limit": TEN_A_DAY},
    {"name": "address", "per": "address", "limit": TEN_A_DAY, "applies_to": "all"},
    {"name": "all", "per": "global", "limit": "5/1d"},
]
OF_ADDRESS, OF_ALL = "tg:1:{a:127.0.0.1}:b:address", "tg:1:{:g}:b:all"


def test_a_denial_gives_back_what_slots_before_it_took(launch, upstream, cluster, tenants):
    first, second = (tenants.on(primary) for primary in cluster.primaries[:2])
    daemon, other = (launch(upstream, policies=SPANNING, redis_settings=UNHURRIED) for _ in range(2))
    for turn in range(5):
        answer = get(daemon, first)
        assert answer.status == 200
        # The tightest of three, that lie on two shards.
        assert answer.limits() == (5, 4 - turn)
    for sidecar, tenant in ((daemon, first), (other, first), (other, second), (daemon, second)):
        is_denied(get(sidecar, tenant), "all")
    is_owed(first.home, first.bucket("org"), 5)
    is_owed(second.home, second.bucket("org"), 0)
    is_owed(cluster.owner(OF_ADDRESS), OF_ADDRESS, 5)
    is_owed(cluster.owner(OF_ALL), OF_ALL, 5)
    assert len(upstream.requests) == 5


def test_a_denial_in_the_middle_asks_for_no_more(launch, upstream, cluster, tenants):
    tenant, other = (tenants.on(primary) for primary in cluster.primaries[:2])
    policies = [SPANNING[0], {**SPANNING[1], "limit": "2/1d"}, {**SPANNING[2], "limit": "1000/1d"}]
    daemon = launch(upstream, policies=policies, redis_settings=UNHURRIED)
    assert [get(daemon, tenant).status for _ in range(2)] == [200, 200]
    # Of a sidecar that knows of no denial yet.
    is_denied(get(launch(upstream, policies=policies, redis_settings=UNHURRIED), other), "address")
    is_owed(tenant.home, tenant.bucket("org"), 2)
    is_owed(other.home, other.bucket("org"), 0)
    is_owed(cluster.owner(OF_ALL), OF_ALL, 2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_request_asks_once_for_each_slot_that_it_spans(launch, upstream, cluster, tenants, count):
    tenant = tenants.on(cluster.primaries[0])
    policies = [{**policy, "limit": "1000000/1d"} for policy in SPANNING[:count]]
    daemon = launch(upstream, loops=1, policies=policies, redis_settings=UNHURRIED)
    warm(daemon, tenant)
    buckets = [tenant.bucket("org"), OF_ADDRESS, OF_ALL][:count]
    with Questions(cluster.nodes) as questions:
        for _ in range(5):
            assert get(daemon, tenant).status == 200
        charges = questions.charges()
    # Of several nodes nobody can tell which was first.
    assert sorted((node.port, names) for node, names in charges) == sorted(
        (cluster.owner(bucket).port, [bucket]) for _ in range(5) for bucket in buckets
    )


def test_keys_of_one_slot_are_asked_for_together(launch, upstream, cluster, tenants):
    tenant = tenants.on(cluster.primaries[0])
    policies = [{"name": name, "per": per, "limit": "1000000/1d"} for name, per in (("org", "org"), ("key", "key"))]
    daemon = launch(upstream, loops=1, policies=policies, redis_settings=UNHURRIED)
    warm(daemon, tenant)
    with Questions(cluster.nodes) as questions:
        assert get(daemon, tenant).status == 200
        ((node, buckets),) = questions.charges()
    assert node is tenant.home
    assert len(buckets) == 2


def test_a_loop_has_one_connection_to_each_primary_and_none_to_replicas(launch, upstream, cluster, tenants):
    daemon = launch(upstream, loops=3, policies=AMPLE)
    everywhere = tenants.everywhere()
    until(lambda: warm(daemon, *everywhere) or all(callers(one.home) == 3 for one in everywhere), "all loops connected")
    assert [callers(node) for node in cluster.nodes if node not in cluster.primaries] == [0, 0, 0]


def callers(node) -> int:
    """Connections of event loops: they alone carry out scripts all the time."""
    return sum(" cmd=evalsha " in line for line in node("CLIENT", "LIST", "TYPE", "normal").decode().splitlines())


# ---- A shard that is away --------------------------------------------------------------------------------------------


def others_are_served(paces: list[Pace], moment: float = 0):
    """On a busy machine an answer of Redis may come too late now and then. Nothing else befalls them from a moment on."""
    for pace in paces:
        answers = pace.since(moment)
        statuses = [answer.status for answer in answers]
        assert {200} <= set(statuses) <= {200, 503}, set(statuses)
        refused = {answer.correlation_id for answer in answers if answer.status == 503}
        if not refused:
            continue
        assert len(refused) <= max(1, len(answers) // 20), (len(refused), len(answers))
        until(lambda: refused <= {line["correlation_id"] for line in pace.daemon.lines()}, "the refusals being logged")
        reasons = [line["reason"] for line in pace.daemon.lines() if line["correlation_id"] in refused]
        assert set(reasons) == {"limiter_slow"}, reasons


def shard_is_lost_and_followed(daemon, cluster, everywhere, victim: Tenant, lose):
    """While it is away others see nothing of it; it is back with its replica."""
    cluster.sync()
    replica = cluster.replica_of(victim.home)
    others = [tenant for tenant in everywhere if tenant is not victim]
    with Pace(daemon, victim.key, 60, threads=4) as own, Pace(daemon, others[0].key, 40, threads=2) as one, Pace(
        daemon, others[1].key, 40, threads=2
    ) as two:
        until(lambda: own.statuses().get(200, 0) > 20, "requests served")
        lose(victim.home)
        promoted = cluster.await_promotion(replica)
        until(lambda: back(own.since(promoted)), "the shard being back", PATIENCE)
    # A good key is never told that it is none, or has nothing left.
    assert set(own.statuses()) <= {200, 503}
    others_are_served([one, two])
    return back(own.since(promoted)) - promoted


@pytest.mark.parametrize("place", range(3) if "TOLLGATE_LONG" in os.environ else [0, 1])
def test_a_primary_that_dies_costs_its_own_organizations(launch, upstream, cluster, tenants, place):
    """The second of them has what belongs to no organization, too."""
    assert slot_of("{:m}") * 3 // 16_384 == 1
    everywhere = tenants.everywhere()
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    victim = everywhere[place]
    former = victim.home
    shard_is_lost_and_followed(daemon, cluster, everywhere, victim, lambda node: node.kill())
    # What comes back is a replica, and stays alone.
    former.start()
    cluster.settle()
    assert not former.is_primary
    assert serves(daemon, victim)
    until(lambda: callers(former) == 0, "nobody asking the former primary")
    until(lambda: readiness(daemon) == (200, {"status": "ready"}), "the sidecar being ready", PATIENCE)


def test_a_frozen_primary_is_left(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    victim = everywhere[0]
    former = victim.home
    shard_is_lost_and_followed(daemon, cluster, everywhere, victim, lambda node: node.freeze())
    former.thaw()
    cluster.settle()
    assert not former.is_primary
    with Pace(daemon, victim.key, 60, threads=4) as pace:
        until(lambda: len(pace.answers) > 60, "requests afterwards")
    others_are_served([pace])
    until(lambda: callers(former) == 0, "nobody asking the former primary")


def test_a_failover_by_hand_is_hardly_seen(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    with Pace(daemon, everywhere[0].key, 100, threads=4) as own, Pace(daemon, everywhere[1].key, 40) as other:
        until(lambda: own.statuses().get(200, 0) > 20, "requests served")
        cluster.failover(cluster.replica_of(everywhere[0].home))
        moved = time.monotonic()
        until(lambda: back(own.since(moved)), "the shard being back", PATIENCE)
        until(lambda: len(own.answers) > 400, "requests afterwards", PATIENCE)
    assert set(own.statuses()) <= {200, 503}
    assert own.statuses().get(503, 0) < 0.1 * len(own.answers)
    others_are_served([other])
    # Whoever took over has what the former primary had.
    assert "emptied" not in daemon.said()


def test_a_policy_for_all_lies_on_one_shard(launch, upstream, cluster, tenants):
    """Without it nobody can be counted who falls under the policy, wherever they are."""
    everywhere = tenants.everywhere()
    for_files = {"routes": ["/files/{rest*}"]}
    policies = [{"name": "all", "per": "global", "limit": "1000000/1d", "match": for_files}, *AMPLE]
    daemon = launch(upstream, policies=policies)
    tenant = next(one for one in everywhere if one.home is not cluster.owner(OF_ALL))
    warm(daemon, tenant)
    with_all = "/files/a"
    assert ask(daemon.port, "GET", with_all, tenant.key).status == 200
    cluster.sync()
    lost = cluster.owner(OF_ALL)
    replica = cluster.replica_of(lost)
    lost.kill()
    until(lambda: ask(daemon.port, "GET", with_all, tenant.key).status == 503, "the shard being away")
    are_served(daemon, tenant, times=1)
    # What the organization has paid for nothing comes back.
    cluster.await_promotion(replica)
    until(lambda: ask(daemon.port, "GET", with_all, tenant.key).status == 200, "the shard being back", PATIENCE)


def test_a_shard_that_comes_back_empty_tells_no_key_that_it_is_none(launch, upstream, cluster, tenants):
    """Its organizations and its pointers are gone: 503, until somebody decides what is right."""
    everywhere = tenants.everywhere()
    victim, others = everywhere[0], everywhere[1:]
    #: Known by nobody yet; its pointer is on the shard that loses it, its record is not.
    strangers = tenants.on(others[0].home, victim.home)
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    paces = [Pace(daemon, tenant.key, 30, threads=2) for tenant in others]
    with Pace(daemon, victim.key, 60, threads=4) as own, paces[0], paces[1]:
        cluster.restart_empty(victim.home)
        cluster.settle()
        until(lambda: readiness(daemon)[1].get("reason") == "emptied", "the sidecar seeing it", PATIENCE)
        seen = len(own.answers)
        until(lambda: len(own.answers) > seen + 60, "requests meanwhile")
        after = own.answers[seen:]
    assert victim.home.is_primary and victim.home("KEYS", "tg:1:{:m*") == []
    assert set(own.statuses()) <= {200, 503}
    assert {answer.status for answer in after} == {503}
    others_are_served(paces)
    for _ in range(4):
        unavailable(get(daemon, victim))
        unavailable(get(daemon, strangers))
    # A sidecar that starts now hasn't seen better times, and knows it all the same.
    late = launch(upstream, ready=False, policies=AMPLE)
    until(lambda: serves(late, others[0]), "another shard being served", PATIENCE)
    for tenant in (victim, strangers):
        statuses = {get(late, tenant).status for _ in range(8)}
        assert statuses == {503}


@pytest.mark.parametrize("is_later", [False, True], ids=["before", "after"])
def test_a_flushed_shard_is_served_again_when_it_is_restored(launch, upstream, cluster, tenants, is_later):
    everywhere = tenants.everywhere()
    victim, other = everywhere[0], everywhere[1]
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    names = victim.home("KEYS", "*")
    backup = [(name, victim.home("DUMP", name)) for name in names]
    cluster.flushall(victim.home)
    if is_later:
        until(lambda: get(daemon, victim).status == 503, "the sidecar seeing it", PATIENCE)
    else:
        assert get(daemon, victim).status == 503
    are_served(daemon, other, times=1)
    for name, value in backup:
        victim.home("RESTORE", name, 0, value, "REPLACE")
    until(lambda: serves(daemon, victim), "the shard being served again", PATIENCE)
    until(lambda: readiness(daemon) == (200, {"status": "ready"}), "the sidecar being ready", PATIENCE)


def guards(cluster) -> dict[str, bytes]:
    """Each with the id that it shows."""
    names = [(node, name) for node in cluster.primaries for name in node("KEYS", "tg:1:{:m*}:meta")]
    return {name.decode(): node("GET", name) for node, name in names}


def laid_guards(cluster) -> dict[str, bytes]:
    until(lambda: len(guards(cluster)) == 65, "the guards being laid", PATIENCE)
    return guards(cluster)


def test_whoever_comes_first_lays_the_guards_for_all(launch, upstream, cluster, tenants):
    daemons = [launch(upstream, wait=False, policies=AMPLE) for _ in range(3)]
    for daemon in daemons:
        daemon.wait_until_listening()
        daemon.wait_until_ready()
    laid = laid_guards(cluster)
    assert len(set(laid.values())) == 1
    # One in each 256 slots, and the database's own.
    assert {slot_of(name) // 256 for name in laid if name != "tg:1:{:m}:meta"} == set(range(64))
    assert cluster.owner("tg:1:{:m}:guards")("GET", "tg:1:{:m}:guards") == b"1"
    tenant = tenants.on(cluster.primaries[0])
    for daemon in daemons:
        warm(daemon, tenant)
    assert guards(cluster) == laid


def test_guards_that_are_gone_are_lost_data_until_they_are_adopted(launch, upstream, cluster, tenants, ctl):
    everywhere = tenants.everywhere()
    victim, *others = everywhere
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    laid = laid_guards(cluster)
    gone = [name for name in laid if cluster.owner(name) is victim.home]
    for name in gone:
        victim.home("DEL", name)
    # Each loop looks for itself, every few seconds.
    until(lambda: [get(daemon, victim).status for _ in range(8)] == [503] * 8, "all loops missing them", PATIENCE, 0.1)
    unavailable(get(daemon, victim))
    until(lambda: readiness(daemon)[1].get("reason") == "emptied", "the sidecar saying so", PATIENCE)
    are_served(daemon, *others)
    assert guards(cluster).keys() == laid.keys() - set(gone)
    ctl("database", "adopt", laid["tg:1:{:m}:meta"].decode(), "--yes")
    assert guards(cluster) == laid
    until(lambda: serves(daemon, victim), "the shard being served", PATIENCE)
    until(lambda: readiness(daemon) == (200, {"status": "ready"}), "the sidecar being ready", PATIENCE)


def test_open_is_for_the_shard_that_is_away_and_for_no_other(launch, upstream, cluster, tenants):
    victim, other, _ = tenants.everywhere()
    daemon = launch(
        upstream, policies=[{"name": "org", "per": "org", "limit": TEN_A_DAY}],
        redis_settings={"on_failure": "open", "timeout": "2s"},
    )
    for _ in range(4):
        assert get(daemon, victim).status == 200
    cluster.sync()
    lost = [victim.home, cluster.replica_of(victim.home)]
    for node in lost:
        node.freeze()
    until(lambda: readiness(daemon)[1]["status"] == "degraded", "the sidecar seeing it", PATIENCE)
    assert readiness(daemon)[0] == 200
    assert [get(daemon, victim).status for _ in range(20)] == [200] * 20
    for turn in range(10):
        assert get(daemon, other).limits() == (10, 9 - turn)
    is_denied(get(daemon, other), "org")
    for node in lost:
        node.thaw()
    until(lambda: readiness(daemon) == (200, {"status": "ready"}), "the sidecar being ready", PATIENCE)
    # What was let through without Redis wasn't counted, but for questions that were under way.
    assert 4 <= owed(cluster.owner(victim.bucket("org")), victim.bucket("org")) + 0.1 <= 10.1


def test_a_sidecar_that_starts_while_a_shard_is_away(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    victim, others = everywhere[0], everywhere[1:]
    cluster.sync()
    lost = [victim.home, cluster.replica_of(victim.home)]
    for node in lost:
        node.freeze()
    daemon = launch(upstream, ready=False, policies=AMPLE)
    for tenant in others:
        until(lambda: serves(daemon, tenant), "the other shards being served", PATIENCE)
    are_served(daemon, *others)
    for _ in range(4):
        unavailable(get(daemon, victim))
    code, body = readiness(daemon)
    assert body["status"] != "ready", body
    for node in lost:
        node.thaw()
    until(lambda: serves(daemon, victim), "the shard being served without a restart", PATIENCE)
    daemon.wait_until_ready()


#: Of a question, as long as may be: an answer that comes long before wasn't waited for.
LONG = {"timeout": "10s"}


def launch_beside(launch, upstream, cluster, everywhere, victim: Tenant, befall):
    """Of a database that sidecars know, whose shard nobody takes over: a sidecar that finds it as it is left."""
    for node in cluster.nodes:
        node("CONFIG", "SET", "cluster-node-timeout", 3_600_000)
    warm(launch(upstream, policies=AMPLE), *everywhere)
    laid_guards(cluster)
    befall(victim.home)
    daemon = launch(upstream, ready=False, loops=1, policies=AMPLE, redis_settings=LONG)
    for tenant in everywhere:
        if tenant is not victim:
            until(lambda: serves(daemon, tenant), "the other shards being served", PATIENCE)
    return daemon


@pytest.mark.parametrize("place", [0, 1])
def test_a_primary_that_is_slow_when_a_sidecar_starts_is_waited_for(launch, upstream, cluster, tenants, place):
    """The second of them has what belongs to no organization, too."""
    everywhere = tenants.everywhere()
    victim = everywhere[place]
    daemon = launch_beside(launch, upstream, cluster, everywhere, victim, lambda node: node.freeze())
    failed = f"redis connection failed redis.endpoint=redis://{victim.home.address}"
    with ThreadPoolExecutor(4) as crowd:
        until(lambda: failed in daemon.said(), "an attempt that nobody answers", PATIENCE)
        waiting = [crowd.submit(get, daemon, victim) for _ in range(4)]
        for tenant in everywhere:
            if tenant is not victim:
                assert [get(daemon, tenant).status for _ in range(8)] == [200] * 8
        assert not any(one.done() for one in waiting)
        victim.home.thaw()
        assert [one.result().status for one in waiting] == [200] * 4
    daemon.wait_until_ready()


def test_a_primary_that_nobody_runs_is_not_waited_for(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    victim = everywhere[0]
    daemon = launch_beside(launch, upstream, cluster, everywhere, victim, lambda node: node.kill())
    for _ in range(4):
        asked = time.monotonic()
        unavailable(get(daemon, victim))
        assert time.monotonic() - asked < 5


def test_seeds_that_are_all_dead_but_one(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    dead = [free_port() for _ in range(3)]
    replica = cluster.replica_of(cluster.primaries[0])
    url = f"redis+cluster://:{PASSWORD}@" + ",".join(f"127.0.0.1:{port}" for port in [*dead, replica.port])
    daemon = launch(upstream, policies=AMPLE, redis_url=url)
    for tenant in everywhere:
        until(lambda: serves(daemon, tenant), "each shard being served", PATIENCE)
    # Once it knows the others, its seeds may be gone.
    replica.kill()
    victim = everywhere[1]
    shard_is_lost_and_followed(daemon, cluster, everywhere, victim, lambda node: node.kill())


def test_no_seed_answers_at_the_start(launch, upstream, cluster, tenants):
    tenant = tenants.on(cluster.primaries[0])
    cluster.sync()
    for node in cluster.nodes:
        node.freeze()
    daemon = launch(upstream, ready=False, policies=AMPLE)
    unavailable(get(daemon, tenant))
    assert readiness(daemon)[0] == 503
    for node in cluster.nodes:
        node.thaw()
    until(lambda: serves(daemon, tenant), "the sidecar serving without a restart", PATIENCE)
    daemon.wait_until_ready()


def test_a_cluster_that_wants_all_its_slots_is_down_for_everybody(launch, upstream, folder):
    """`cluster-require-full-coverage yes`, as Redis begins with: one dead shard stops all."""
    cluster = Cluster(folder / "covered", full_coverage=True)
    try:
        cluster.start()
        everywhere = Tenants(cluster, Control(cluster.url())).everywhere()
        daemon = launch(upstream, policies=AMPLE, redis_url=cluster.url())
        warm(daemon, *everywhere)
        cluster.sync()
        lost = [everywhere[0].home, cluster.replica_of(everywhere[0].home)]
        for node in lost:
            node.freeze()
        for tenant in everywhere:
            until(lambda: get(daemon, tenant).status == 503, "the cluster being down", PATIENCE)
        until(lambda: readiness(daemon)[0] == 503, "the sidecar not being ready", PATIENCE)
        unavailable(get(daemon, everywhere[1]))
        for node in lost:
            node.thaw()
        for tenant in everywhere:
            until(lambda: serves(daemon, tenant), "the cluster being up", PATIENCE)
        daemon.wait_until_ready()
    finally:
        cluster.stop()


# ---- Who it is -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_by_tls(launch, upstream, folder, monkeypatch, host):
    """By the address or the name that nodes tell, and for which alone their certificate is."""
    authority = Authority(folder / "pki")
    pair = authority.issue("redis", host)
    cluster = Cluster(folder / "tls", tls={**pair.settings(), "ca": str(authority.file)}, host=host)
    try:
        cluster.start()
        monkeypatch.setenv("TOLLGATE_REDIS_TLS_CA", str(authority.file))
        everywhere = Tenants(cluster, Control(cluster.url())).everywhere()
        daemon = launch(
            upstream, policies=AMPLE, redis_url=cluster.url(), redis_settings={"tls": {"ca": str(authority.file)}}
        )
        warm(daemon, *everywhere)
        shard_is_lost_and_followed(daemon, cluster, everywhere, everywhere[0], lambda node: node.kill())
    finally:
        cluster.stop()


def test_with_the_users_that_ship(launch, upstream, folder):
    users = re.sub(r" on resetpass ", f" on resetpass >{PASSWORD} ", (ROOT / "deploy/redis/users.acl").read_text())
    cluster = Cluster(folder / "users", users=users)
    try:
        cluster.start()
        everywhere = Tenants(cluster, Control(cluster.url(f"tollgatectl:{PASSWORD}@"))).everywhere()
        daemon = launch(upstream, policies=AMPLE, redis_url=cluster.url(f"tollgate:{PASSWORD}@"))
        warm(daemon, *everywhere)
        shard_is_lost_and_followed(daemon, cluster, everywhere, everywhere[0], lambda node: node.kill())
        # Nothing that either of them needs was denied.
        assert [entry for node in cluster.running for entry in node("ACL", "LOG")] == []
    finally:
        cluster.stop()


def test_a_password_in_the_url_is_told_by_nothing(launch, upstream, cluster, tenants):
    """Logs are looked through when the daemon ends (fixtures/noted.py)."""
    tenant = tenants.on(cluster.primaries[0])
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, tenant)
    for path in ("/status", "/readyz", "/metrics"):
        assert PASSWORD.encode() not in ask(daemon.admin, "GET", path, fields={"Host": "localhost"}).body
    address = status(daemon)["redis"]["address"]
    assert all(node.address in address for node in cluster.nodes[:3])
    wrong = launch(upstream, ready=False, policies=AMPLE, redis_url=cluster.url(":another-password-of-nobody@"))
    until(lambda: readiness(wrong)[1].get("reason") == "WRONGPASS", "the password being refused", PATIENCE)
    unavailable(get(wrong, tenant))
    assert "another-password-of-nobody" not in wrong.said()


@pytest.mark.parametrize("which", ["node by redis://", "server by redis+cluster://"])
def test_who_is_none_of_a_cluster_says_what_to_write(launch, upstream, cluster, folder, which):
    if which == "node by redis://":
        url, scheme = f"redis://:{PASSWORD}@{cluster.nodes[0].address}/0", "redis+cluster://"
    else:
        server = Server(folder / "alone", ["--save", "", "--requirepass", PASSWORD], password=PASSWORD)
        server.start()
        url, scheme = f"redis+cluster://:{PASSWORD}@127.0.0.1:{server.port}", "redis://"
    try:
        daemon = launch(upstream, ready=False, policies=AMPLE, redis_url=url)
        until(lambda: scheme in readiness(daemon)[1].get("detail", ""), "the sidecar saying it", PATIENCE)
        assert readiness(daemon)[0] == 503
    finally:
        if which != "node by redis://":
            server.stop()


if "TOLLGATE_LONG" in os.environ:

    @pytest.mark.parametrize("what", ["killed", "frozen", "by hand", MOVE])
    def test_what_it_costs_when_a_shard_fails(launch, upstream, cluster, tenants, ctl, what):
        """TOLLGATE_WRITE_RELIABILITY=1 puts a row into docs/redis-topologies.md. Beside others figures say little."""
        own, *others = tenants.everywhere()
        limited = tenants.on(own.home)
        ctl("org", "limit", limited.org, f"org={RATE}/1s")
        daemon = launch(upstream, policies=AMPLE)
        warm(daemon, own, limited, *others)
        cluster.sync()
        figures = befall(daemon, cluster, own, limited, others, what)
        if "TOLLGATE_WRITE_RELIABILITY" in os.environ:
            write(figures)
        assert figures.statuses <= {200, 503}
        assert figures.statuses_elsewhere == {200}
        # Goals: first 0.2 s, back 0.5 s, excess what is had in 1.2 s, and by hand 2 % refused. A machine that does
        # other things has a few times as long.
        assert figures.first < 2 and figures.back < 3
        assert figures.excess <= RATE * 1.2 * 2
        if what in ("by hand", MOVE):
            assert figures.refused < 0.1
