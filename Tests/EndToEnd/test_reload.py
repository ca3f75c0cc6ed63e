# SPDX-License-Identifier: Apache-2.0
"""A configuration is changed under a running daemon: all of it or nothing, and nobody who is served notices."""

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import threading
import time

import pytest
from fixtures.ports import free_port
from fixtures.programs import built
from fixtures.redis_server import RedisServer
from fixtures.upstream import Upstream, reply
from fixtures.wire import PROCESS, Connection, accepts, ask, until

PATH = "/api/listings"
ORG = {"name": "org", "per": "org", "limit": "50/1d"}


def search(limit: str) -> dict:
    return {"name": "search", "per": "key", "limit": limit}


def capacities(answer) -> dict[str, tuple[int, int]]:
    """Of each policy, what it holds and what is left."""
    q = re.findall(r'"(\w+)";q=(\d+)', answer["RateLimit-Policy"])
    r = dict(re.findall(r'"(\w+)";r=(\d+)', answer["RateLimit"]))
    return {name: (int(count), int(r[name])) for name, count in q}


def times_taken(daemon) -> list[int]:
    """In milliseconds, from each change of the file, or signal, to its effect."""
    return [int(took) for took in re.findall(r" configuration reloaded .*\btook_ms=(\d+)$", daemon.said(), re.M)]


def named(name: str) -> Upstream:
    handler = Upstream()
    handler.behaviour = lambda request, _: reply(name.encode())
    return handler


# ---- What changes --------------------------------------------------------------------------------------------------------


def test_limits_change_and_buckets_of_unchanged_policies_are_untouched(launch, upstream, key):
    daemon = launch(upstream, policies=[ORG, search("20/1d")])
    with Connection(daemon.port) as kept:
        answer = kept.request("GET", PATH, {"X-API-Key": key})
        assert capacities(answer) == {"org": (50, 49), "search": (20, 19)}
        daemon.reload(policies=[search("7/1d"), ORG])
        answer = kept.request("GET", PATH, {"X-API-Key": key})
        assert capacities(answer) == {"search": (7, 5), "org": (50, 48)}
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (7, 4), "org": (50, 47)}


def test_routes_come_and_go(launch, upstream, key):
    daemon = launch(upstream, routes=[{"path": "/old"}])
    assert [ask(daemon.port, "GET", path, key).status for path in ("/old", "/new")] == [200, 404]
    daemon.reload(routes=[{"path": "/new", "public": True}])
    assert [ask(daemon.port, "GET", path, key).status for path in ("/old", "/new")] == [404, 200]
    assert ask(daemon.port, "GET", "/new").status == 200


def test_requests_under_way_end_by_what_they_began_with(launch, ctl, key):
    one, two = named("one"), named("two")
    go = threading.Event()
    one.behaviour = lambda request, _: go.wait(30) and reply(b"one")
    daemon = launch(one)
    with Connection(daemon.port) as slow:
        slow.send(f"GET {PATH} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        until(lambda: one.requests, "the first handler asked")
        daemon.reload(upstream={"url": two.url})
        assert ask(daemon.port, "GET", PATH, key).body == b"two"
        go.set()
        assert slow.response().body == b"one"
        assert slow.request("GET", PATH, {"X-API-Key": key}).body == b"two"
    one.close()
    two.close()


def test_a_stream_outlives_any_number_of_configurations(launch, upstream, key, redis):
    event = b"data: 1\n\n"

    def stream(request, socket):
        socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(1, 7):
            steps[number - 1].wait(60)
            socket.sendall(b"9\r\n" + event + b"\r\n")
        socket.sendall(b"0\r\n\r\n")
        return False

    steps = [threading.Event() for _ in range(6)]
    upstream.behaviour = stream
    slots = {"name": "streams", "per": "key", "concurrency": 1}
    daemon = launch(upstream, policies=[ORG, slots], loops=1)

    def clients() -> int:
        return int(dict(re.findall(r"(\w+):(\d+)", redis("INFO", "clients").decode()))["connected_clients"])

    links = clients()
    with Connection(daemon.port) as client:
        fields = {"Host": "a", "X-API-Key": key, "Accept": "text/event-stream"}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        client.send(f"GET {PATH} HTTP/1.1\r\n{head}\r\n".encode())
        assert client.head().status == 200
        for number, step in enumerate(steps):
            daemon.reload(policies=[{**ORG, "limit": f"{51 + number}/1d"}, slots])
            # Its slot is taken, whoever counts.
            assert ask(daemon.port, "GET", PATH, key).status == 429
            step.set()
            assert client.chunk() == event
        assert client.chunk() == b""
    upstream.behaviour = lambda request, _: reply(b"ok")
    until(lambda: ask(daemon.port, "GET", PATH, key).status == 200, "its slot given back")
    # However many configurations there were, a loop has one connection to Redis.
    # But while it publishes what it goes by.
    until(lambda: clients() <= links, "connections of former configurations closed")


def test_another_redis_is_another_database(launch, upstream, key, folder):
    (folder / "other").mkdir()
    other = RedisServer(folder / "other")
    other.start()
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    daemon.reload(redis={"url": other.url, "timeout": "2s"})
    try:
        assert ask(daemon.port, "GET", PATH, key).status == 401
        env = {**os.environ, "TOLLGATE_REDIS_URL": other.url}
        made = subprocess.run(
            [built("tollgatectl"), "org", "create", "acme"], env=env, capture_output=True, text=True, timeout=60
        )
        assert made.returncode == 0, made
        issue = ["key", "issue", "--org", "acme", "--name", "there", "--json"]
        said = subprocess.run([built("tollgatectl"), *issue], env=env, capture_output=True, text=True, timeout=60)
        assert ask(daemon.port, "GET", PATH, json.loads(said.stdout)["key"]).status == 200
        assert ask(daemon.admin, "GET", "/readyz").json() == {"status": "ready"}
    finally:
        daemon.stop()
        other.stop()


def test_it_listens_elsewhere_and_nobody_is_lost(launch, upstream, key, folder):
    kept, new, path = free_port(), free_port(), folder / "new.sock"
    daemon = launch(upstream, listen=[f"127.0.0.1:{kept}", f"unix:{folder / 'old.sock'}"])
    with Connection(kept) as client, Connection(str(folder / "old.sock")) as old:
        assert client.request("GET", PATH, {"X-API-Key": key}).status == 200
        daemon.reload(listen=[f"127.0.0.1:{kept}", f"127.0.0.1:{new}", f"unix:{path}"])
        assert [ask(port, "GET", PATH, key).status for port in (kept, new, str(path))] == [200, 200, 200]
        # Who was connected stays.
        assert [one.request("GET", PATH, {"X-API-Key": key}).status for one in (client, old)] == [200, 200]
    with pytest.raises(ConnectionRefusedError):
        ask(str(folder / "old.sock"), "GET", PATH, key)
    daemon.reload(listen=f"unix:{path}")
    until(lambda: not accepts(kept) and not accepts(new), "the others being closed")
    assert ask(str(path), "GET", PATH, key).status == 200


def test_a_socket_is_not_taken_for_another_of_its_port(launch, upstream, key):
    """`[::]` alone takes IPv4 too, and beside IPv4 it doesn't: no socket can be both."""
    port = free_port()
    daemon = launch(upstream, listen=[f"[::]:{port}", f"0.0.0.0:{port}"])
    daemon.settings["listen"] = f"[::]:{port}"
    daemon.write()
    daemon.is_refused(f"cannot listen on [::]:{port}")
    assert ask(port, "GET", PATH, key).status == 200


def test_a_socket_that_was_inherited_cannot_be_left(launch, upstream, key):
    with socket.create_server(("127.0.0.1", 0)) as inherited:
        port = inherited.getsockname()[1]
        daemon = launch(upstream, inherit=[inherited], listen=f"127.0.0.1:{port}")
        daemon.settings["listen"] = f"127.0.0.1:{free_port()}"
        daemon.write()
        daemon.is_refused(f"listens on 127.0.0.1:{port}, which is none of listen")
        assert ask(port, "GET", PATH, key).status == 200


def test_what_stands_at_a_path_stays_until_all_else_is_ready(launch, upstream, key, folder):
    path = folder / "other.sock"
    other = launch(upstream, listen=f"unix:{path}")
    daemon = launch(upstream)
    daemon.settings |= {"listen": f"unix:{path}", "redis": {"url": f"unix:{folder / 'nobody.sock'}"}}
    daemon.write()
    daemon.is_refused("redis.url")
    assert ask(str(path), "GET", PATH, key).status == 200
    assert len(other.lines(1)) == 1 and not daemon.lines()
    assert {file.name for file in folder.glob("other.sock*")} == {"other.sock"}


def test_the_admin_address_moves(launch, upstream):
    daemon, port = launch(upstream), free_port()
    before = daemon.admin
    daemon.reload(admin=f"127.0.0.1:{port}")
    assert ask(port, "GET", "/readyz").status == 200
    until(lambda: not accepts(before), "the old address closed")
    daemon.reload(admin="off")
    until(lambda: not accepts(port), "the address closed")


def test_the_access_log_moves_and_no_line_is_lost(launch, upstream, key, folder):
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    first, second = daemon.access, folder / "second.log"
    daemon.reload(log={"level": "debug", "access": str(second)})
    assert len(daemon.lines(1)) == 1
    assert ask(daemon.port, "GET", PATH, key).status == 200
    daemon.access = second
    assert len(daemon.lines(1)) == 1
    daemon.access = first
    assert len(daemon.lines()) == 1


def test_bounds_change_for_connections_that_are_there(launch, upstream, key):
    daemon = launch(upstream)
    long = {"X-API-Key": key, "X-Long": "x" * 6000}
    with Connection(daemon.port) as client:
        assert client.request("GET", PATH, long).status == 200
        daemon.reload(limits={"header_bytes": "4KiB", "idle_timeout": "1s"})
        assert client.request("GET", PATH, long).status == 431
    with Connection(daemon.port) as client:
        assert client.request("GET", PATH, {"X-API-Key": key}).status == 200
        assert client.at_end()


@pytest.mark.parametrize("used", [True, False])
def test_a_peer_that_is_trusted_no_longer_speaks_for_nobody_else(launch, upstream, key, used):
    daemon = launch(upstream, trusted_proxies=["127.0.0.0/8"])
    fields = {"X-API-Key": key, "X-Forwarded-For": "203.0.113.7"}
    with Connection(daemon.port) as client:
        if used:
            assert client.request("GET", PATH, fields).status == 200
            assert upstream.requests[-1].get("X-Forwarded-For") == "203.0.113.7, 127.0.0.1"
        daemon.reload(trusted_proxies=["192.0.2.1"])
        assert client.request("GET", PATH, fields).status == 200
        assert upstream.requests[-1].get("X-Forwarded-For") == "127.0.0.1"
    clients = [line["client"] for line in daemon.lines(1 + used)]
    assert sorted(clients) == (["127.0.0.1", "203.0.113.7"] if used else ["127.0.0.1"])


def test_pages_and_where_keys_stand_change_for_connections_that_are_there(launch, upstream, key):
    daemon = launch(upstream)
    page = {"Origin": "https://app.example"}
    with Connection(daemon.port) as client:
        assert "Access-Control-Allow-Origin" not in client.request("GET", PATH, {"X-API-Key": key, **page})
        daemon.reload(cors={"allow_origins": ["https://app.example"]}, keys={"headers": ["X-Secret"]})
        answer = client.request("GET", PATH, {"X-Secret": key, **page})
        assert (answer.status, answer["Access-Control-Allow-Origin"]) == (200, "https://app.example")
        assert upstream.requests[-1].get("X-Secret") is None
        assert client.request("GET", PATH, {"X-API-Key": key, **page}).status == 401


def test_messages_are_read_once_a_route_is_for_them(launch, upstream, key):
    daemon = launch(upstream, routes=[{"path": "/mcp", "methods": ["POST"]}])
    body = b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'
    fields = {"X-API-Key": key, "Content-Type": "application/json"}
    assert ask(daemon.port, "POST", "/mcp", fields=fields, body=body).status == 200
    daemon.reload(routes=[{"path": "/mcp", "mcp": True}], policies=[{**search("20/1d"), "match": {"tools": ["a"]}}])
    answer = ask(daemon.port, "POST", "/mcp", fields=fields, body=body)
    assert (answer.status, answer.json()["error"]["code"]) == (400, -32700)


def test_a_revoked_key_stays_refused(launch, upstream, ctl):
    issued = ctl.issue()
    daemon = launch(upstream, policies=[ORG])
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    ctl.revoke(issued["id"])
    daemon.reload(policies=[{**ORG, "limit": "60/1d"}])
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 401


def test_operators_see_one_set_of_policies(launch, upstream, ctl, key):
    daemon = launch(upstream, policies=[ORG])
    daemon.reload(policies=[{**ORG, "limit": "61/1d"}])
    shown = until(
        lambda: (done := ctl.run("quota", "show", "acme", "--json")).returncode == 0 and done.stdout, "the quota", pause=PROCESS
    )
    assert "61/d" in shown and "50/d" not in shown
    assert "another" not in ctl.run("quota", "show", "acme").stderr


def test_the_log_says_how_long_it_took(launch, upstream, key):
    daemon = launch(upstream, policies=[search("20/1d")])
    for limit in (21, 22):
        began = time.monotonic()
        daemon.reload(policies=[search(f"{limit}/1d")])
        took, whole = times_taken(daemon)[-1], (time.monotonic() - began) * 1000
        # Counted from the change: a tenth of a second is waited for a second one.
        assert 90 <= took <= whole < 30_000
        assert capacities(ask(daemon.port, "GET", PATH, key))["search"][0] == limit
    assert len(times_taken(daemon)) == 2


# ---- What sets it off ------------------------------------------------------------------------------------------------


def test_a_config_map_is_swapped_by_its_link(launch, upstream, key, folder):
    """As the kubelet does it: a folder of the new files, a link to it beside, renamed over the old one."""
    volume = folder / "volume"
    volume.mkdir()
    daemon = launch(upstream, policies=[search("20/1d")])

    def publish(limit: str):
        made = volume / f"..{limit.replace('/', '-')}"
        made.mkdir()
        settings = {**daemon.settings, "policies": [search(limit)]}
        (made / "tollgate.json").write_text(json.dumps(settings))
        (volume / "..data_tmp").symlink_to(made.name)
        (volume / "..data_tmp").rename(volume / "..data")

    daemon.stop()
    publish("20/1d")
    (volume / "tollgate.json").symlink_to("..data/tollgate.json")
    daemon.stderr.unlink()
    daemon.arguments = ["--config", str(volume / "tollgate.json")]
    daemon.start()
    daemon.wait_until_ready()
    assert capacities(ask(daemon.port, "GET", PATH, key))["search"][0] == 20
    for limit in (21, 22):
        publish(f"{limit}/1d")
        until(lambda: capacities(ask(daemon.port, "GET", PATH, key))["search"][0] == limit, "the new limit")


def test_a_file_written_in_place_counts_when_it_is_closed(launch, upstream, key):
    daemon = launch(upstream, policies=[search("20/1d")])
    daemon.settings["policies"] = [search("21/1d")]
    text = json.dumps(daemon.settings)
    with daemon.config.open("w") as file:
        file.write(text[:100])
        file.flush()
        file.write(text[100:])
    until(lambda: capacities(ask(daemon.port, "GET", PATH, key))["search"][0] == 21, "the new limit")
    assert not daemon.refusals()


def test_a_signal_without_a_change_opens_the_log_and_says_so(launch, upstream, key):
    daemon = launch(upstream)
    moved = daemon.access.with_suffix(".1")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    daemon.lines(1)
    daemon.access.rename(moved)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "configuration unchanged reason=" in daemon.said(), "the signal answered")
    until(daemon.access.exists, "the log opened anew")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert len(daemon.lines(1)) == 1 and len(moved.read_text().splitlines()) == 1
    assert "configuration reloaded" not in daemon.said()


# ---- What is refused -------------------------------------------------------------------------------------------------


def test_a_bad_file_keeps_the_old_configuration(launch, upstream, key):
    daemon = launch(upstream, policies=[search("20/1d")])
    daemon.write('{\n  "policies": [\n    {"name": "search", "per": "key", "limit": "20"}\n  ]\n}')
    daemon.is_refused(f"{daemon.config}:3", "policies[0].limit", "expected")
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (20, 19)}
    # Asked to once more it says so once more.
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: len(daemon.refusals().splitlines()) == 2, "the second refusal")
    daemon.reload(policies=[search("21/1d")])
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (21, 19)}


@pytest.mark.parametrize("text", ["", " \n\n", None], ids=["empty", "blank", "gone"])
def test_a_file_without_settings_is_no_wish_for_defaults(launch, upstream, key, text):
    daemon = launch(upstream, policies=[search("20/1d")])
    if text is None:
        daemon.config.unlink()
        daemon.is_refused("no such file")
    else:
        daemon.write(text)
        daemon.is_refused("got nothing")
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (20, 19)}


def test_a_file_that_is_back_is_as_good_as_before(launch, upstream):
    daemon = launch(upstream)
    text = daemon.config.read_text()
    daemon.config.unlink()
    daemon.is_refused("no such file")
    daemon.write(text)
    until(lambda: daemon.times_said("configuration reloaded") == 1, "the file being read again")


def test_what_was_piped_in_cannot_be_read_again(launch, upstream, key, folder):
    settings = launch(upstream, policies=[search("20/1d")])
    command = f"exec {built('tollgate')} --config <(cat {settings.config})"
    settings.stop()
    settings.stderr.unlink()
    settings.within, settings.arguments = [], ["-c", command]
    settings.command = lambda: ["bash"]
    settings.start()
    settings.wait_until_ready()
    settings.process.send_signal(signal.SIGHUP)
    settings.is_refused("expected a file that can be read again")
    assert capacities(ask(settings.port, "GET", PATH, key)) == {"search": (20, 19)}


def test_what_is_the_process_for_life_needs_a_restart(launch, upstream, key):
    daemon = launch(upstream, policies=[search("20/1d")])
    daemon.settings |= {"loops": 1, "namespace": "other", "policies": [search("21/1d")]}
    daemon.write()
    daemon.is_refused("a change of loops and namespace needs a restart")
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (20, 19)}


@pytest.mark.parametrize("part", ["listen", "admin", "redis", "upstream", "log"])
def test_one_part_that_fails_changes_nothing(launch, upstream, key, folder, part):
    taken = Upstream()
    limits, path = [search("21/1d")], folder / "made.sock"
    changes = {
        "listen": {"listen": ["127.0.0.1:0", f"unix:{path}", f"127.0.0.1:{taken.port}"]},
        "admin": {"admin": f"127.0.0.1:{taken.port}"},
        "redis": {"redis": {"url": f"unix:{folder / 'nobody.sock'}", "timeout": "2s"}},
        "upstream": {"upstream": {"url": "http://no-such-name.invalid:80"}},
        "log": {"log": {"level": "debug", "access": str(folder / "no" / "such" / "folder.log")}},
    }
    words = {
        "listen": f"cannot listen on 127.0.0.1:{taken.port}",
        "admin": f"127.0.0.1:{taken.port}",
        "redis": "redis.url: unix:",
        "upstream": "upstream.url: the name in no-such-name.invalid",
        "log": "log.access: cannot open",
    }
    daemon = launch(upstream, policies=[search("20/1d")])
    before = dict(daemon.settings)
    daemon.settings |= {**changes[part], "policies": limits}
    daemon.write()
    daemon.is_refused(words[part])
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (20, 19)}
    assert not path.exists()
    daemon.settings = before
    daemon.reload(policies=limits)
    assert capacities(ask(daemon.port, "GET", PATH, key)) == {"search": (21, 19)}
    taken.close()


def test_at_the_end_all_calls_are_counted_whoever_counted_them(launch, upstream, ctl, key):
    stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n"
    ended = threading.Event()

    def behave(request, socket):
        if request.get("Accept") == "text/event-stream":
            socket.sendall(stream)
            ended.wait(60)
            return False
        return reply(b"ok")

    upstream.behaviour = behave
    daemon = launch(upstream, policies=[ORG], loops=1, drain={"timeout": "1s"})
    with Connection(daemon.port) as client:
        fields = f"Host: a\r\nX-API-Key: {key}\r\nAccept: text/event-stream"
        client.send(f"GET {PATH} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
        assert client.head().status == 200
        daemon.reload(policies=[{**ORG, "limit": "60/1d"}])
        for _ in range(5):
            assert ask(daemon.port, "GET", PATH, key).status == 200
        daemon.terminate()
        assert daemon.wait() == 0
    ended.set()
    assert json.loads(ctl("usage", "acme", "--json"))["total"]["allowed"] == 6


def test_an_end_does_not_wait_for_a_redis_that_is_not_there(launch, upstream, key, folder):
    daemon = launch(upstream)
    daemon.settings |= {"redis": {"url": f"unix:{folder / 'nobody.sock'}"}, "listen": f"unix:{folder / 'new.sock'}"}
    daemon.write()

    def is_tried() -> list:
        """It isn't for long: one that is over before it was seen is made again."""
        nonlocal refused
        under_way = list(folder.glob("new.sock.*.new"))
        if not under_way and len(daemon.refusals().splitlines()) > refused:
            refused += 1
            daemon.process.send_signal(signal.SIGHUP)
        return under_way

    refused = 0
    until(is_tried, "the attempt under way")
    daemon.terminate()
    assert daemon.wait() == 0
    assert not list(folder.glob("new.sock*"))
    assert daemon.times_said("configuration") == refused


# ---- Meanwhile -------------------------------------------------------------------------------------------------------


@pytest.fixture
def budget() -> str:
    return "2s"


def test_without_redis_limits_change_and_known_keys_stay_known(launch, upstream, key, redis):
    daemon = launch(upstream, policies=[search("20/1d")], loops=1, redis_settings={"on_failure": "open", "timeout": "1s"})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    redis.freeze()
    until(lambda: ask(daemon.admin, "GET", "/readyz").json()["status"] == "degraded", "the outage seen")
    before = daemon.times_said("configuration reloaded")
    daemon.settings["policies"] = [search("21/1d")]
    daemon.write()
    until(lambda: daemon.times_said("configuration reloaded") > before, "the configuration being reloaded")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    redis.thaw()
    until(lambda: ask(daemon.admin, "GET", "/readyz").json() == {"status": "ready"}, "the end of the outage")
    assert capacities(ask(daemon.port, "GET", PATH, key))["search"][0] == 21


def test_a_hundred_reloads_under_load_fail_no_request(launch, upstream, key, redis):
    upstream.behaviour = lambda request, _: reply(b"ok")
    daemon = launch(upstream, policies=[search("10000000/1s")])
    (ended, statuses, wrong) = (threading.Event(), [0] * 4, [])

    def call(place: int):
        with Connection(daemon.port) as client:
            while not ended.is_set() or statuses[place] < 2500:
                try:
                    answer = client.request("GET", PATH, {"X-API-Key": key})
                except Exception as error:
                    wrong.append(repr(error))
                    return
                statuses[place] += 1
                if answer.status != 200:
                    wrong.append(answer.head)

    threads = [threading.Thread(target=call, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()

    def clients() -> int:
        return int(dict(re.findall(r"(\w+):(\d+)", redis("INFO", "clients").decode()))["connected_clients"])

    for number in range(10):
        daemon.reload(policies=[search(f"{10_000_001 + number}/1s")])
    (resident, descriptors, links) = (daemon.resident(), daemon.descriptors(), clients())
    for number in range(90):
        daemon.reload(
            policies=[search(f"{10_000_100 + number}/1s")],
            # By a name, which nobody is to be asked for again.
            upstream={"url": f"http://localhost:{upstream.port}", "max_connections": 100 + number},
            routes=[{"path": PATH}, {"path": f"/{number}"}],
        )
    ended.set()
    for thread in threads:
        thread.join(120)
    assert not wrong, wrong[:3]
    assert sum(statuses) >= 10_000
    until(lambda: daemon.descriptors() <= descriptors + 4, "connections of former configurations closed")
    until(lambda: clients() <= links, "connections to Redis closed")
    assert daemon.resident() - resident < 4 << 20
    times = times_taken(daemon)
    assert len(times) == 100 and max(times) < 30_000
    print(
        f"{sum(statuses)} requests, {(daemon.resident() - resident) >> 10} KiB more; "
        f"in force after {statistics.median(times):.0f} ms (median), {max(times)} ms at most"
    )
