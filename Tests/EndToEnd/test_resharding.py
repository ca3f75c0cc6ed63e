# SPDX-License-Identifier: Apache-2.0
"""Slots of a Redis Cluster that move under load, and nodes that come and go (docs/decisions/0033-cluster.md)."""

import os
import time
from contextlib import ExitStack

import pytest
from fixtures.cluster import PATIENCE, Cluster, slot_of
from fixtures.failover_figures import BURST, RATE
from fixtures.other_servers import valkey
from fixtures.pace import Pace
from fixtures.programs import Control
from fixtures.redis_server import owed
from fixtures.tenants import Tenant, Tenants, cluster, redis, tenants  # noqa: F401
from fixtures.wire import ask, until
from test_cluster import AMPLE, PATH, callers, get, is_denied, others_are_served, readiness, serves, warm
from test_redis import unavailable


@pytest.fixture
def budget() -> str:
    """No server goes away here, and a busy test machine is no outage."""
    return "2s"


def slot(tenant: Tenant) -> int:
    return slot_of(tenant.name)


def paced(stack: ExitStack, daemon, tenants: list[Tenant], rate: float) -> list[Pace]:
    return [stack.enter_context(Pace(daemon, tenant.key, rate, threads=3)) for tenant in tenants]


def refused(paces: list[Pace]) -> float:
    """Part of the requests."""
    answers = [answer for pace in paces for answer in pace.since(0)]
    return sum(answer.status == 503 for answer in answers) / len(answers)


def test_a_thousand_slots_move_under_load(launch, upstream, cluster, tenants, ctl):
    """The one that moves is refused for moments, nobody is refused for ever, and nobody gets more than the limit."""
    everywhere = tenants.everywhere()
    moving, greedy = everywhere[0], tenants.on(everywhere[0].home)
    ctl("org", "limit", greedy.org, f"org={RATE}/1s")
    bounded = tenants.on(everywhere[0].home)
    ctl("org", "limit", bounded.org, "org=150/1d")
    daemons = [launch(upstream, policies=AMPLE) for _ in range(2)]
    for daemon in daemons:
        warm(daemon, *everywhere)
    target = everywhere[1].home
    with ExitStack() as stack:
        good = paced(stack, daemons[0], everywhere, 80)
        demanding = paced(stack, daemons[0], [greedy, bounded], 40) + paced(stack, daemons[1], [greedy, bounded], 40)
        until(lambda: all(pace.statuses().get(200, 0) > 20 for pace in good), "requests served")
        for tenant in (moving, greedy, bounded):
            # Some of them may lie together.
            if cluster.owner(tenant.name) is not target:
                count = 1000 if tenant is moving else 1
                cluster.move_slots(tenant.home, target, count, cluster.around(tenant.name, count))
        moved = time.monotonic()
        until(lambda: all(len(pace.since(moved)) > 60 for pace in good), "requests after the move", PATIENCE)
    cluster.settle()
    for pace in good:
        assert set(pace.statuses()) <= {200, 503}, pace.statuses()
    others_are_served(good, moved)
    for pace in demanding:
        assert set(pace.statuses()) <= {200, 429, 503}, pace.statuses()
    # The goal is 0.01, and docs/redis-topologies.md has what was measured. A machine that does other things takes longer.
    assert refused(good) <= 0.05
    # Shards that give and take nothing see nothing.
    others_are_served(good[2:])
    of_greedy, of_bounded = (
        [answer for pace in demanding[place::2] for answer in pace.since(0) if answer.status == 200] for place in (0, 1)
    )
    took = max(answer.ended for answer in of_greedy) - min(answer.began for answer in of_greedy)
    assert len(of_greedy) <= BURST + RATE * took
    assert len(of_bounded) <= 150


def test_what_has_moved_is_asked_for_there(launch, upstream, cluster, tenants):
    """ASK: its keys are at the target already, its slot isn't; nothing is lost or counted twice."""
    tenant, other = tenants.on(cluster.primaries[0]), tenants.on(cluster.primaries[1])
    source, target = tenant.home, other.home
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "10/1d"}])
    for turn in range(3):
        assert get(daemon, tenant).limits() == (10, 9 - turn)
    cluster.begin_move(slot(tenant), source, target)
    cluster.carry(slot(tenant), source, target)
    for turn in range(3, 6):
        answer = get(daemon, tenant)
        assert answer.status == 200
        assert answer.limits() == (10, 9 - turn)
    assert source("CLUSTER", "COUNTKEYSINSLOT", slot(tenant)) == 0
    cluster.end_move(slot(tenant), source, target)
    for turn in range(6, 10):
        answer = get(daemon, tenant)
        assert answer.status == 200
        assert answer.limits() == (10, 9 - turn)
    is_denied(get(daemon, tenant), "org")
    assert abs(owed(target, tenant.bucket("org")) - 10) < 0.1


def test_what_is_on_its_way_is_answered_without_redis(launch, upstream, cluster, tenants):
    """TRYAGAIN: its record has moved, what it has used hasn't. Nobody else waits for it."""
    tenant, other = tenants.on(cluster.primaries[0]), tenants.on(cluster.primaries[1])
    neighbour = tenants.on(cluster.primaries[0])
    assert slot(neighbour) != slot(tenant)
    source, target = tenant.home, other.home
    # What is used of it doesn't come back meanwhile.
    policies = [{"name": "org", "per": "org", "limit": "50000/7d"}]
    daemon = launch(upstream, policies=policies)
    opened = launch(upstream, policies=policies, redis_settings={"on_failure": "open"})
    warm(daemon, tenant, other, neighbour)
    warm(opened, tenant)
    used = owed(source, tenant.bucket("org"))
    cluster.begin_move(slot(tenant), source, target)
    cluster.carry(slot(tenant), source, target, tenant.name)
    with Pace(daemon, neighbour.key, 40, threads=2) as near, Pace(daemon, other.key, 40, threads=2) as far:
        for _ in range(4):
            unavailable(get(daemon, tenant))
            assert get(opened, tenant).status == 200
        cluster.carry(slot(tenant), source, target)
        cluster.end_move(slot(tenant), source, target)
        until(lambda: serves(daemon, tenant), "what has arrived being served", PATIENCE)
        assert [get(daemon, tenant).status for _ in range(8)] == [200] * 8
    others_are_served([near, far])
    # Whoever was refused has paid nothing.
    assert owed(target, tenant.bucket("org")) - used < 11
    assert readiness(daemon) == (200, {"status": "ready"})


def test_slots_go_back_and_forth(launch, upstream, cluster, tenants):
    """A storm of MOVED: each slot is somewhere else whenever somebody looks."""
    everywhere = tenants.everywhere()
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    first = cluster.around(everywhere[0].name, 100)
    homes = [everywhere[0].home, everywhere[1].home]
    with ExitStack() as stack:
        paces = paced(stack, daemon, everywhere, 80)
        until(lambda: all(pace.statuses().get(200, 0) > 20 for pace in paces), "requests served")
        for turn in range(40 if "TOLLGATE_LONG" in os.environ else 10):
            cluster.move_slots(homes[turn % 2], homes[1 - turn % 2], 100, first)
        moved = time.monotonic()
        until(lambda: all(len(pace.since(moved)) > 40 for pace in paces), "requests after the storm", PATIENCE)
    assert set(paces[0].statuses()) <= {200, 503}
    assert refused(paces[:1]) <= 0.1
    others_are_served(paces[1:])
    others_are_served(paces, moved)


def test_valkey_moves_slots_at_once(launch, upstream, folder):
    """Nobody is refused: there is no moment at which a slot is in two places."""
    cluster = Cluster(folder / "valkey", executable=valkey())
    try:
        cluster.start()
        everywhere = Tenants(cluster, Control(cluster.url())).everywhere()
        daemon = launch(upstream, policies=AMPLE, redis_url=cluster.url())
        warm(daemon, *everywhere)
        tenant, source, target = everywhere[0], everywhere[0].home, everywhere[1].home
        first = cluster.around(tenant.name, 1000)
        with ExitStack() as stack:
            paces = paced(stack, daemon, everywhere, 80)
            until(lambda: all(pace.statuses().get(200, 0) > 20 for pace in paces), "requests served")
            for turn in range(4):
                ends = (source, target) if turn % 2 == 0 else (target, source)
                cluster.move_at_once(*ends, 1000, first)
                cluster.settle()
            moved = time.monotonic()
            until(lambda: all(len(pace.since(moved)) > 40 for pace in paces), "requests after the moves", PATIENCE)
        others_are_served(paces)
    finally:
        cluster.stop()


def test_a_node_is_added_and_removed(launch, upstream, cluster, tenants):
    everywhere = tenants.everywhere()
    daemon = launch(upstream, policies=AMPLE)
    warm(daemon, *everywhere)
    tenant, source = everywhere[0], everywhere[0].home
    first = cluster.around(tenant.name, 50)
    with ExitStack() as stack:
        paces = paced(stack, daemon, everywhere, 60)
        until(lambda: all(pace.statuses().get(200, 0) > 20 for pace in paces), "requests served")
        node = cluster.add_node()
        cluster.move_slots(source, node, 50, first)
        until(lambda: callers(node) == 2, "both loops at the new node", PATIENCE)
        cluster.settle()
        assert cluster.owner(tenant.name) is node
        cluster.move_slots(node, source, 50, first)
        cluster.settle()
        # It owns nothing any more, so nobody stays.
        until(lambda: callers(node) == 0, "the node being left", PATIENCE)
        cluster.remove_node(node)
        moved = time.monotonic()
        until(lambda: all(len(pace.since(moved)) > 40 for pace in paces), "requests after that", PATIENCE)
    assert set(paces[0].statuses()) <= {200, 503}
    # A slot that is on its way is refused for as long as that takes: a machine that does other things takes longer.
    assert refused(paces[:1]) <= 0.1
    others_are_served(paces[1:])
    others_are_served(paces, moved)
    assert readiness(daemon) == (200, {"status": "ready"})


def test_a_key_that_nobody_knows_yet_is_looked_up_while_slots_move(launch, upstream, cluster, tenants):
    """Its pointer's slot moves and its record's doesn't, or the other way round."""
    homes = cluster.primaries
    daemon = launch(upstream, policies=AMPLE)
    for what in ("pointer", "record"):
        tenant = tenants.on(homes[0], homes[1])
        moving, source = (slot_of(tenant.pointer), homes[1]) if what == "pointer" else (slot(tenant), homes[0])
        cluster.begin_move(moving, source, homes[2])
        statuses = {get(daemon, tenant).status}
        cluster.carry(moving, source, homes[2])
        statuses |= {get(daemon, tenant).status for _ in range(4)}
        cluster.end_move(moving, source, homes[2])
        assert statuses <= {200, 503}
        assert [get(daemon, tenant).status for _ in range(8)] == [200] * 8
