# SPDX-License-Identifier: Apache-2.0
"""tollgatectl against a cluster: each command, over all primaries, while slots move and primaries die."""

import json
import re
import threading

import pytest
from fixtures.cluster import Cluster, slot_of
from fixtures.programs import ROOT, Control
from fixtures.server import Server
from fixtures.wire import PROCESS, ask, until
from test_json_shapes import POLICIES, commands, hold

ORGANIZATIONS = [f"org-{number}" for number in range(24)]
#: By the sources: `Names.guards`.
GUARDS = 64


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """For what changes nothing about the cluster itself."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        cluster.be_patient()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(folder):
    """One that is to suffer."""
    cluster = Cluster(folder / "cluster")
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def ctl(shared):
    for node in shared.primaries:
        shared.flushall(node)
    return Control(shared.url())


def name_of(org: str) -> str:
    return f"tg:1:{{{org}}}"


def names(cluster: Cluster) -> set[str]:
    return {name.decode() for node in cluster.primaries for name in node("KEYS", "*")}


def on_each(cluster: Cluster, count: int = 2) -> list[tuple[object, list[str]]]:
    """Names of organizations, for each primary some."""
    owners = cluster.owners()
    return [
        (node, [org for org in ORGANIZATIONS if owners[slot_of(name_of(org))] is node][:count])
        for node in cluster.primaries
    ]


def test_every_command_once(ctl, shared, folder):
    config = folder / "tollgate.json"
    config.write_text(json.dumps({"upstream": {"url": "http://127.0.0.1:1"}, "policies": POLICIES}))
    seen: set[str] = set()

    def run(words: str, *arguments: str, code: int = 0, **options) -> list[dict]:
        done = ctl.run(*words.split(" "), *arguments, "--json", **options)
        assert done.returncode == code, (words, done.stderr)
        assert done.stdout.count("\n") > 0, words
        hold(words, done.stdout)
        seen.add(words)
        return [json.loads(line) for line in done.stdout.splitlines()]

    configured = ("--config", str(config), "--redis", ctl.url)
    run("plan set", "pro", "org=20/1d")
    assert [one["plan"] for one in run("plan list")] == ["pro"]
    for org in ORGANIZATIONS:
        run("org create", org, "--plan", "pro", "--meta", '{"tier":"gold"}')
    assert {one["org"] for one in run("org list")} == set(ORGANIZATIONS)
    run("plan show", "pro")
    keys = {org: run("key issue", "--org", org, "--name", "a", "--user", "ada", "--expires", "3d")[0] for org in ORGANIZATIONS}
    assert {one["id"] for one in run("key list")} == {key["id"] for key in keys.values()}
    for org in ORGANIZATIONS[:6]:
        id = keys[org]["id"]
        run("key show", id)
        run("quota show", org, *configured)
        run("quota show", id, *configured)
        run("quota grant", org, "org", "1", *configured)
        run("quota reset", org, "--yes", *configured)
        run("usage", org)
        run("org show", org)
        run("org set", org, "--max-active-keys", "9")
        run("org limit", org, "org=5/1d")
        run("org suspend", org)
        run("org resume", org)
        run("key limit", id, "search=4/1d")
        run("key set", id, "--meta", '{"seat":2}')
        run("key verify", input=keys[org]["key"])
        run("key rotate", id, "--grace", "1h")
        run("key revoke", id)
        run("audit", org)
        run("org plan", org, "--none")
    run("quota show", "--global", *configured)
    run("usage", "--all", "--by", "org")
    assert len(run("key expiring", "--within", "7d")) == len(ORGANIZATIONS)
    exported = ctl("key", "export")
    assert exported.count("\n") == len(ORGANIZATIONS) + 6
    for org in ORGANIZATIONS[6:12]:
        run("key revoke", "--org", org, "--yes")
    run("check list")
    (rotated,) = run("check rotate")

    def retire() -> bool:
        done = ctl.run("check", "retire", rotated["id"], "--yes", "--json")
        # Sidecars have to know the other secret before, which takes ten seconds.
        if done.returncode == 75:
            return False
        assert done.returncode == 0, done.stderr
        hold("check retire", done.stdout)
        seen.add("check retire")
        return True

    until(retire, "the secret being retired", 60)
    (shown,) = run("database show")
    assert shown["cluster"]["primaries"] == 3 and shown["cluster"]["slots"] == 16_384
    assert shown["guards"]["amiss"] == 0
    assert len(shown["primaries"]) == 3
    run("database adopt", shown["id"], "--yes")
    for org in ORGANIZATIONS:
        run("org delete", org, "--yes")
    run("plan delete", "pro")
    assert run_import(run, exported) == len(ORGANIZATIONS) + 6
    # Which routes there are is for sidecars to publish: see below.
    assert seen == commands() - {"routes"}
    for org in ORGANIZATIONS:
        run("org delete", org, "--yes")
    left = {name for name in names(shared) if "{:m" not in name}
    assert left == set()


def run_import(run, exported: str) -> int:
    """Into organizations that are made by it."""
    run("key import", "--create-orgs", input=exported)
    return len(run("key list"))


def test_lists_are_of_all_primaries(ctl, shared):
    for org in ORGANIZATIONS:
        ctl("org", "create", org)
        ctl.issue(org)
    assert all(orgs for _, orgs in on_each(shared))
    assert set(re.findall(r"^(org-\d+) ", ctl("org", "list"), re.MULTILINE)) == set(ORGANIZATIONS)
    assert set(re.findall(r"^(org-\d+)/", ctl("key", "list"), re.MULTILINE)) == set(ORGANIZATIONS)


def test_a_change_is_waited_for_on_its_node(ctl, shared):
    for _, (org, *_) in on_each(shared):
        ctl("org", "create", org)
        shared.sync()
        assert ctl("org", "suspend", "--wait", "60s", org).endswith("1 of 1 replica has it.\n")


def test_no_node_at_all(folder):
    done = Control("redis+cluster://127.0.0.1:1,127.0.0.1:2").run("org", "list")
    assert done.returncode == 69, done.stderr
    assert "redis+cluster://127.0.0.1:1,127.0.0.1:2" in done.stderr


def test_one_server_is_no_cluster(folder):
    server = Server(folder / "server", ["--save", ""])
    server.start()
    try:
        done = Control(f"redis+cluster://127.0.0.1:{server.port}").run("org", "list")
        assert done.returncode == 69, done.stderr
        assert "this is no node of a cluster: for one server write redis://" in done.stderr
    finally:
        server.stop()


def test_a_node_is_no_server(shared):
    done = Control(shared.url().replace("+cluster", "").split(",")[0]).run("org", "list")
    assert done.returncode == 69, done.stderr
    assert "this is a node of a cluster: write redis+cluster://" in done.stderr


def test_it_waits_for_a_failover(cluster):
    ctl = Control(cluster.url())
    primary, (org, *_) = on_each(cluster)[0]
    ctl("org", "create", org)
    cluster.sync()
    replica = cluster.replica_of(primary)
    primary.kill()
    assert org in ctl("org", "show", org)
    assert replica.is_primary
    ctl.issue(org)
    assert org in ctl("org", "list")


def test_a_shard_that_is_gone_costs_its_own(cluster):
    ctl = Control(cluster.url())
    shards = on_each(cluster)
    for _, orgs in shards:
        for org in orgs:
            ctl("org", "create", org)
    cluster.sync()
    # What belongs to no organization is to stay.
    primary, orgs = next(shard for shard in shards if shard[0] is not cluster.owner("tg:1:{:m}:meta"))
    cluster.replica_of(primary).kill()
    primary.kill()
    for node, others in shards:
        for org in others:
            done = ctl.run("org", "show", org)
            assert done.returncode == (75 if node is primary else 0), done.stderr
            if node is primary:
                assert primary.address in done.stderr and "try again" in done.stderr
    done = ctl.run("org", "list")
    assert done.returncode == 75 and primary.address in done.stderr, done.stderr
    shown = json.loads(ctl("database", "show", "--json"))
    assert shown["cluster"]["judgement"] == "bad"
    assert [one["address"] for one in shown["primaries"] if "error" in one["server"]] == [primary.address]
    assert shown["guards"]["judgement"] == "unknown"
    assert primary.address in ctl("database", "show")


def test_a_sidecar_of_the_cluster_is_seen(launch, upstream, shared, ctl):
    issued = [ctl.issue(org) for org in ORGANIZATIONS[:6]]
    daemon = launch(upstream, redis_url=shared.url(), policies=POLICIES)
    for key in issued:
        assert ask(daemon.port, "GET", "/api/listings", key["key"]).status == 200
    until(lambda: "/api/" in ctl.run("routes").stdout, "its routes being published", pause=PROCESS)
    # By the policies that it publishes.
    (shown,) = json.loads(ctl("quota", "show", ORGANIZATIONS[0], "--json"))["sets"]
    assert {quota["name"] for quota in shown["policies"]} == {"org", "month"}
    ctl("org", "suspend", ORGANIZATIONS[1])
    until(lambda: ask(daemon.port, "GET", "/api/listings", issued[1]["key"]).status != 200, "the suspension being known")
    assert ask(daemon.port, "GET", "/api/listings", issued[0]["key"]).status == 200
    until(lambda: "6" in ctl("usage", "--all", "--by", "day"), "usage being counted")


def test_the_database_is_shown_without_the_shard_of_its_id(cluster):
    ctl = Control(cluster.url())
    ctl("org", "create", "acme")
    primary = cluster.owner("tg:1:{:m}:meta")
    cluster.replica_of(primary).kill()
    primary.kill()
    assert re.search(r"^Database: +unknown: a primary is away$", ctl("database", "show"), re.MULTILINE)
    done = ctl.run("org", "create", "globex")
    assert done.returncode == 75 and primary.address in done.stderr, done.stderr


def test_full_coverage_is_warned_of(folder):
    cluster = Cluster(folder / "cluster", full_coverage=True)
    try:
        cluster.start()
        ctl = Control(cluster.url())
        ctl("org", "create", "acme")
        assert "careful, while one primary is away all others refuse commands" in ctl("database", "show")
        for node in cluster.nodes:
            node("CONFIG", "SET", "cluster-require-full-coverage", "no")
        assert re.search(r"^Cluster: +3 primaries, 16384 of 16384 hash slots: good$", ctl("database", "show"), re.MULTILINE)
    finally:
        cluster.stop()


def test_a_shard_that_came_back_empty_is_told_of(cluster):
    ctl = Control(cluster.url())
    ctl("org", "create", "acme")
    id = json.loads(ctl("database", "show", "--json"))["id"]
    primary = next(node for node in cluster.primaries if node is not cluster.owner("tg:1:{:m}:meta"))
    cluster.restart_empty(primary)
    until(cluster.is_settled, "the cluster being whole", 90)
    shown = json.loads(ctl("database", "show", "--json"))
    assert shown["guards"]["judgement"] == "bad" and 0 < shown["guards"]["amiss"] < GUARDS
    # A new organization is no reason to write them anew: sidecars would take an empty shard for theirs.
    ctl("org", "create", "globex")
    assert json.loads(ctl("database", "show", "--json"))["guards"] == shown["guards"]
    done = ctl.run("database", "adopt", id)
    assert done.returncode != 0
    assert json.loads(ctl("database", "adopt", id, "--yes", "--json")) == {"id": id, "changed": True}
    assert json.loads(ctl("database", "show", "--json"))["guards"]["judgement"] == "good"
    assert json.loads(ctl("database", "adopt", id, "--yes", "--json")) == {"id": id, "changed": False}


def test_verbs_work_while_slots_move(cluster):
    ctl = Control(cluster.url())
    source, (org, *_) = on_each(cluster)[0]
    ctl("org", "create", org, "--max-active-keys", "900")
    target = next(node for node in cluster.primaries if node is not source)
    slot, ended = slot_of(name_of(org)), threading.Event()
    issued: list[str] = []

    def work():
        while not ended.is_set() or len(issued) < 10:
            key = ctl.issue(org)
            issued.append(key["id"])
            ctl("key", "show", key["id"])

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(5):
            # Nodes that a slot leaves before all know that it came send it round in a circle until they agree.
            cluster.move_slots(source, target, 1, slot)
            cluster.settle()
            cluster.move_slots(target, source, 1, slot)
            cluster.settle()
    finally:
        ended.set()
        worker.join(90)
    assert not worker.is_alive() and len(issued) >= 10
    listed = [json.loads(line)["id"] for line in ctl("key", "list", "--org", org, "--json").splitlines()]
    assert sorted(listed) == sorted(issued)


def test_the_users_that_ship_may_do_it(folder):
    """deploy/redis/users.acl on each node."""
    password = "s3cret-of-users"
    users = re.sub(r" on resetpass ", f" on >{password} ", (ROOT / "deploy/redis/users.acl").read_text())
    cluster = Cluster(folder / "cluster", users=users)
    try:
        cluster.start()
        ctl = Control(cluster.url(credentials=f"tollgatectl:{password}@"))
        for org in ORGANIZATIONS[:6]:
            ctl("org", "create", org)
            key = ctl.issue(org)
            ctl("key", "rotate", key["id"], "--wait", "5s")
        source = cluster.owner(name_of("org-0"))
        target = next(node for node in cluster.primaries if node is not source)
        cluster.begin_move(slot_of(name_of("org-0")), source, target)
        # Asks the target for what isn't there.
        cluster.carry(slot_of(name_of("org-0")), source, target)
        ctl("org", "show", "org-0")
        cluster.end_move(slot_of(name_of("org-0")), source, target)
        assert len(ctl("org", "list").splitlines()) == 7
        shown = json.loads(ctl("database", "show", "--json"))
        # CONFIG is for administrators.
        assert shown["cluster"]["judgement"] == "unknown" and shown["guards"]["judgement"] == "good"
        for org in ORGANIZATIONS[:6]:
            ctl("org", "delete", org, "--yes")
        refused = [entry for node in cluster.primaries for entry in node("ACL", "LOG")]
        objects = {dict(zip(entry[::2], entry[1::2]))[b"object"] for entry in refused}
        assert objects <= {b"config|get", b"waitaof"}, objects
    finally:
        cluster.stop()
