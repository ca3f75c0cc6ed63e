# SPDX-License-Identifier: Apache-2.0
"""What the admin address tells of a running sidecar, to whom, and what `tollgate health` makes of it."""

import json
import re
import socket
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from fixtures.programs import built
from fixtures.wire import Connection, ask, until

VERSION = "9.9.9-test"
NOTICE = "another sidecar runs another version"


def status(daemon) -> dict:
    answer = ask(daemon.admin, "GET", "/status", fields={"Host": "127.0.0.1"})
    assert (answer.status, answer["Content-Type"], answer["Cache-Control"]) == (200, "application/json", "no-store")
    return json.loads(answer.body)


def raw(port: int, *lines: str) -> tuple[int, str]:
    """The status and the body of what is answered to these lines, as they are."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "Connection: close", "")).encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def health(*arguments: str, **env: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [built("tollgate"), "health", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


# ---- /status ---------------------------------------------------------------------------------------------------------


def test_status_tells_what_a_sidecar_is(launch, upstream, redis, key):
    daemon = launch(
        upstream,
        policies=[
            {"name": "org", "per": "org", "limit": "20/10s"},
            {"name": "monthly", "per": "key", "quota": "5000/month", "mode": "shadow"},
        ],
    )
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    until(lambda: len(status(daemon)["fleet"]["sidecars"]) == 1, "its own beat")
    told = status(daemon)
    assert list(told) == [
        "version", "status", "uptime_seconds", "loops", "loops_unheard", "listeners", "redis", "upstream", "policies",
        "configuration", "openapi", "fleet",
    ]  # fmt: skip
    version = subprocess.run([built("tollgate"), "--version"], capture_output=True, text=True).stdout.split()[-1]
    assert (told["version"], told["status"], told["loops"], told["loops_unheard"]) == (version, "ready", 2, 0)
    assert 0 <= told["uptime_seconds"] < 600
    assert told["listeners"] == [f"127.0.0.1:{daemon.port}"]
    assert told["redis"] | {"commands_in_flight": 0} == {
        "address": redis.url, "ok": True, "reason": None, "detail": None, "since": None,
        "breaker": {"closed": 2, "open": 0, "half_open": 0}, "commands_in_flight": 0,
        "topology": None,
        "cluster": None,
    }  # fmt: skip
    assert told["upstream"]["resolved"] == [told["upstream"]["address"]] == [upstream.url.removeprefix("http://")]
    assert told["upstream"]["connections"] == {"idle": 1, "connecting": 0, "busy": 0}
    # The route of the tests that is `mcp` brings two built-in ones.
    assert [policy for policy in told["policies"] if policy["name"] in ("org", "monthly")] == [
        {"name": "org", "per": "org", "limit": "20/10s", "mode": "enforce"},
        {"name": "monthly", "per": "key", "limit": "5000/month", "mode": "shadow"},
    ]
    assert told["configuration"]["file"] == str(daemon.config)
    digest = subprocess.run(["sha256sum", daemon.config], capture_output=True, text=True).stdout[:16]
    assert told["configuration"]["hash"] == digest
    assert told["configuration"]["last_reload"] is None
    assert told["openapi"] is None
    (own,) = told["fleet"]["sidecars"]
    assert re.fullmatch(r".+-\d+-[0-9a-f]{4}", own["name"])
    assert (own["version"], own["self"], told["fleet"]["known"]) == (version, True, True)
    assert re.fullmatch(r"[0-9a-f]{32}", own["policies"])


def test_status_tells_of_redis_and_reloads_that_fail_without_secrets(launch, upstream, redis):
    redis("CONFIG", "SET", "requirepass", "s3cret")
    daemon = launch(upstream, redis_url=f"unix://:s3cret@{redis.path}")
    told = status(daemon)
    assert told["redis"]["ok"] and "s3cret" not in json.dumps(told)
    daemon.write("loops: nonsense\n")
    until(lambda: (status(daemon)["configuration"]["last_reload"] or {}).get("ok") is False, "the failed reload")
    reload = status(daemon)["configuration"]["last_reload"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reload["at"])
    (error,) = reload["errors"]
    assert re.search(r":1:8: loops: expected a whole number", error)
    ready = ask(daemon.admin, "GET", "/readyz", fields={"Host": "127.0.0.1"})
    assert (ready.status, json.loads(ready.body)) == (
        200, {"status": "ready", "configuration": {"ok": False, "error": error}},
    )  # fmt: skip
    # A page whose name leads here learns that it is ready, and no word of the file.
    ready = ask(daemon.admin, "GET", "/readyz", fields={"Host": "evil.example"})
    assert (ready.status, ready.json()) == (200, {"status": "ready"})
    assert health("--admin", f"127.0.0.1:{daemon.admin}") == (0, f"ready; the last reload failed: {error}\n", "")
    redis.kill()
    until(lambda: not status(daemon)["redis"]["ok"], "Redis being away")
    told = status(daemon)
    assert (told["status"], told["redis"]["reason"]) == ("redis unavailable", "unreachable")
    # What was answered before may be told for five seconds.
    until(lambda: not status(daemon)["fleet"]["known"], "the fleet being unknown")
    told = status(daemon)
    assert told["fleet"]["sidecars"] == [] and told["fleet"]["reason"] and "s3cret" not in json.dumps(told)


def test_a_greedy_asker_makes_redis_no_work(launch, upstream, redis):
    daemon = launch(upstream)
    connections = lambda: int(  # noqa: E731
        re.search(rb"total_connections_received:(\d+)", redis("INFO", "stats"))[1]
    )
    status(daemon)
    before = connections()
    # A tenth of a second each: the loops are asked no sooner.
    for _ in range(50):
        status(daemon)
    # One each five seconds, the beat each twenty, and this test's own two.
    assert connections() - before <= 52 // 5


# ---- Who may read it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "fields", "expected"),
    [
        ("/status", ["Host: 127.0.0.1"], 200),
        ("/status", ["Host: [::1]:9901"], 200),
        ("/status", ["Host: localhost:9901"], 200),
        ("/status", [f"Host: {socket.gethostname()}"], 200),
        ("http://127.0.0.1/status", ["Host: localhost"], 200),
        ("/status", ["Host: 127.0.0.1:1", "Origin: http://127.0.0.1:1"], 200),
        ("/status", [], 400),
        ("/status", ["Host: 127.0.0.1", "Host: 127.0.0.1"], 400),
        ("/status", ["Host: evil.example"], 421),
        ("/status", ["Host: evil.example:9901"], 421),
        ("/status", ["Host: 127.0.0.1.evil.example"], 421),
        ("/status?x=1", ["Host: localhost.evil.example"], 421),
        ("http://evil.example/status", ["Host: 127.0.0.1"], 421),
        ("http://127.0.0.1/status", ["Host: evil.example"], 421),
        ("/status", ["Host: 127.0.0.1", "Origin: http://evil.example"], 403),
        ("/status", ["Host: 127.0.0.1", "Origin: null"], 403),
    ],
)
def test_pages_of_browsers_do_not_reach_the_status(tollgate, target, fields, expected):
    code, body = raw(tollgate.admin, f"GET {target} HTTP/1.1", *fields)
    assert code == expected
    assert ("listeners" in json.loads(body)) == (expected == 200)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Host: 127.0.0.1:9901"], 200),
        (["Host: localhost"], 200),
        (["Host: evil.example"], 421),
        (["Host: localhost", "Origin: http://evil.example"], 403),
        ([], 400),
    ],
)
def test_pages_of_browsers_do_not_reach_the_metrics_of_this_machine(tollgate, fields, expected):
    with Connection(tollgate.admin) as connection:
        connection.send("\r\n".join(["GET /metrics HTTP/1.1", *fields, "", ""]).encode())
        answer = connection.response()
    assert answer.status == expected
    assert (b"tollgate_build_info" in answer.body) == (expected == 200)


def test_without_a_version_of_its_own_a_client_needs_no_host(tollgate):
    assert raw(tollgate.admin, "GET /status HTTP/1.0")[0] == 200


# ---- tollgate health -------------------------------------------------------------------------------------------------


def test_health_asks_the_sidecar_of_the_configuration(launch, upstream, redis, folder):
    daemon = launch(upstream)
    there = f"127.0.0.1:{daemon.admin}"
    assert health("--admin", there) == (0, "ready\n", "")
    assert health("--admin", there, "--live") == (0, "alive\n", "")
    # A file that the sidecar has refused says nothing against it.
    file = folder / "refused.yaml"
    file.write_text(f"admin: {there}\nloops: many\nno_such: key\n")
    assert health("--config", str(file)) == (0, "ready\n", "")
    file.write_text("admin: nowhere\n")
    code, said, _ = health("--config", str(file))
    assert code == 1 and said.startswith(f"not asked: {file}:1:8: admin: expected an address")
    assert health(TOLLGATE_ADMIN=there) == (0, "ready\n", "")
    file = folder / "health.yaml"
    file.write_text(f'admin: "{there}"\n')
    assert health("--config", str(file)) == (0, "ready\n", "")
    assert health(TOLLGATE_CONFIG=str(file)) == (0, "ready\n", "")
    redis.kill()
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "Redis being missed")
    line = (
        "not ready: redis unavailable (unreachable): Redis can't be connected to. Is it running, and is redis.url right?\n"
    )
    assert health("--config", str(file)) == (1, line, "")
    assert health("--config", str(file), "--live") == (0, "alive\n", "")


def test_health_ends_with_1_whatever_is_wrong(folder):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert health("--admin", f"127.0.0.1:{port}") == (1, f"not ready: 127.0.0.1:{port}: Connection refused\n", "")
    assert health("--admin", "off") == (1, "not asked: the configuration says admin: off\n", "")
    code, out, err = health("--admin", "nonsense")
    assert (code, err) == (1, "") and out.startswith("not asked: --admin: expected ")
    code, out, err = health("--config", str(folder / "none.yaml"))
    assert (code, err) == (1, "") and out.startswith("not asked: ") and "none.yaml" in out
    assert health("--admin", "127.0.0.1:0")[0] == 1


def test_health_is_not_taken_in_by_another_server():
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        there = f"127.0.0.1:{server.server_port}"
        line = f"not ready: {there} answers /readyz with 200, and not as Tollgate does\n"
        assert health("--admin", there) == (1, line, "")
        server.shutdown()


# ---- Versions --------------------------------------------------------------------------------------------------------


def test_another_version_is_told_once(launch, upstream, redis):
    now = redis("TIME")[0]
    digest = "0" * 32
    for number in range(3):
        redis("ZADD", "tg:1:{:m}:sidecars", now, f"web-{number}@{VERSION}:{digest}")
    # One of a version that says none.
    redis("ZADD", "tg:1:{:m}:sidecars", now, f"old-1:{digest}")
    daemon = launch(upstream)
    until(lambda: daemon.times_said(NOTICE), "the line about it")
    (line,) = (line for line in daemon.said().splitlines() if NOTICE in line)
    assert f"version={VERSION}" in line and "versions.new=1" in line and " notice " in line
    until(lambda: len(status(daemon)["fleet"]["sidecars"]) == 5, "all of them")
    versions = {one["name"]: one["version"] for one in status(daemon)["fleet"]["sidecars"] if not one["self"]}
    assert versions == {"web-0": VERSION, "web-1": VERSION, "web-2": VERSION, "old-1": None}
