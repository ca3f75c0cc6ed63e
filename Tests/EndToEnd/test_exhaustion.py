# SPDX-License-Identifier: Apache-2.0
"""What a process runs out of: it goes on with what it has, says so once, and recovers."""

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fixtures.ports import free_port
from fixtures.programs import Daemon
from fixtures.upstream import Upstream, reply
from fixtures.wire import Closed, Connection, Truncated, ask, request_bytes, until
from test_admin import health
from test_answers import problem

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
#: Of calm, after which a trouble is over.
CALM = 5

REDUCED = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


@pytest.fixture
def starved():
    """Takes from a daemon every descriptor that it doesn't have yet, and gives them back."""
    limits = {}

    def starve(daemon: Daemon):
        pid = daemon.process.pid
        limits[pid] = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # What is open stays open; no number below this is free.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[pid][1]))

    def feed(daemon: Daemon):
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits[daemon.process.pid])

    return starve, feed


# MARK: The limit of descriptors


def limit_of(daemon: Daemon) -> tuple[int, int]:
    return resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)


def test_the_limit_is_raised_and_the_default_of_connections_lowered_to_it(launch, upstream, key):
    daemon = launch(upstream, within=["prlimit", "--nofile=256:4096"])
    assert limit_of(daemon) == (4096, 4096)
    # Each may take another to the handler, beside 256 idle ones: (4096 - 64 - 2 * 8 - 256) / 2.
    assert "warning too few descriptors for the usual number of connections" in daemon.said()
    assert "limits.connections=1880" in daemon.said()
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200


def test_a_configured_number_of_connections_that_fits_is_kept(launch, upstream):
    daemon = launch(upstream, within=["prlimit", "--nofile=256:4096"], limits={"connections": 1880})
    assert limit_of(daemon) == (4096, 4096)
    assert "too few descriptors" not in daemon.said()


def test_a_configured_number_of_connections_that_does_not_fit_is_refused(launch, upstream):
    daemon = launch(upstream, wait=False, within=["prlimit", "--nofile=256:4096"], limits={"connections": 1881})
    assert daemon.wait() == 78
    lines = daemon.config.read_text().splitlines()
    line = 1 + next(n for n, text in enumerate(lines) if '"connections"' in text)
    column = 1 + lines[line - 1].index("1881")
    assert (
        f"{daemon.config}:{line}:{column}: limits.connections: expected at most 1880, since the process may have 4096 descriptors, "
        "got 1881 (raise the hard limit: LimitNOFILE of systemd, ulimit -Hn)"
    ) in daemon.said()
    # Whether it fits is a question of the machine that runs it.
    check = subprocess.run([*daemon.command(), "config", "check", daemon.config], capture_output=True, timeout=20)
    assert check.returncode == 0


def test_more_connections_to_the_handler_than_descriptors_are_refused(launch, upstream):
    daemon = launch(
        upstream, wait=False, within=["prlimit", "--nofile=256:300"], upstream_settings={"max_connections": 256}
    )
    assert daemon.wait() == 78
    assert "upstream.max_connections: expected at most 218, since the process may have 300 descriptors" in daemon.said()


# MARK: No descriptors


def test_without_descriptors_for_clients_those_that_are_there_go_on(launch, upstream, key, starved):
    starve, feed = starved
    daemon = launch(upstream, loops=1, policies=WIDE)
    request = request_bytes("GET", "/api/listings", {"X-API-Key": key})
    with Connection(daemon.port) as kept:
        assert kept.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        starve(daemon)
        waiting = [Connection(daemon.port) for _ in range(10)]
        for connection in waiting:
            connection.send(request)
        until(lambda: daemon.times_said("connections can't be accepted"), "the daemon saying so")
        before, began = daemon.processor_time(), time.monotonic()
        for _ in range(20):
            assert kept.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
            time.sleep(0.05)
        # The kernel goes on announcing them; looking each time would take the whole of a core.
        assert daemon.processor_time() - before < 0.5 * (time.monotonic() - began)
        feed(daemon)
        for connection in waiting:
            assert connection.response().status == 200
            connection.close()
    until(lambda: daemon.times_said("connections are accepted again"), "the daemon saying so", CALM + 10)
    assert daemon.times_said("connections can't be accepted") == 1
    assert daemon.times_said("connections are accepted again") == 1
    assert 'error="Too many open files"' in daemon.said()


def test_without_descriptors_for_the_handler_it_is_503_and_not_the_handlers_fault(launch, upstream, key, starved):
    starve, feed = starved
    daemon = launch(upstream, loops=1, policies=WIDE)
    with Connection(daemon.port) as kept:
        # The key is known and the connection accepted: all that is wanting is one to the handler.
        assert kept.request("GET", "/health").status == 200
        upstream.close_idle()
        until(lambda: upstream.open == 0, "the handler's connection closing")
        starve(daemon)
        for _ in range(5):
            answer = kept.request("GET", "/health")
            problem(answer, 503, "Service Unavailable", "Overloaded", type=REDUCED)
            assert answer["Retry-After"] == "1"
        feed(daemon)
        assert kept.request("GET", "/health").status == 200
    until(lambda: daemon.times_said("upstream is connected to again"), "the daemon saying so", CALM + 10)
    assert daemon.times_said("upstream can't be connected to error=\"Too many open files\"") == 1
    assert daemon.lines(7)[1]["reason"] == "exhausted"


# MARK: No handler


def test_a_handler_that_comes_and_goes_is_told_once(launch, key):
    port = free_port()
    daemon = launch(f"http://127.0.0.1:{port}", policies=WIDE)
    answers = set()

    def listen() -> socket.socket:
        return socket.create_server(("127.0.0.1", port), backlog=64)

    def handler() -> dict:
        return ask(daemon.admin, "GET", "/status", fields={"Host": "localhost"}).json()["upstream"]

    assert (handler()["since"], handler()["error"]) == (None, None)
    for _ in range(10):
        answers.add(ask(daemon.port, "GET", "/api/listings", key).status)
        told = handler()
        assert told["error"] == "Connection refused"
        line = f"ready; the handler can't be connected to since {told['since']} (Connection refused)\n"
        assert health("--admin", f"127.0.0.1:{daemon.admin}") == (0, line, "")
        with listen() as listener:
            thread = threading.Thread(target=serve_one, args=(listener,))
            thread.start()
            answers.add(ask(daemon.port, "GET", "/api/listings", key).status)
            thread.join()
        assert (handler()["since"], handler()["error"]) == (None, None)
        assert health("--admin", f"127.0.0.1:{daemon.admin}") == (0, "ready\n", "")
    assert answers == {200, 502}
    assert daemon.times_said("upstream can't be connected to error=") == 1
    assert f'error="Connection refused" upstream.address=127.0.0.1:{port}\n' in daemon.said()
    assert daemon.times_said("upstream is connected to again") == 0
    with listen() as listener:
        thread = threading.Thread(target=serve_one, args=(listener,))
        thread.start()
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        thread.join()
    until(lambda: daemon.times_said("upstream is connected to again failures=10"), "the daemon saying so", CALM + 10)
    # It may come and go again later, which is news.
    assert ask(daemon.port, "GET", "/api/listings", key).status == 502
    assert daemon.times_said("upstream can't be connected to error=") == 2


def serve_one(listener: socket.socket):
    connection, _ = listener.accept()
    with connection:
        while b"\r\n\r\n" not in connection.recv(65536):
            pass
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.recv(1)


# MARK: No disk


def test_a_full_disk_of_the_access_log_costs_lines_and_nothing_else(launch, upstream, key, folder):
    disk = folder / "disk"
    disk.mkdir()
    # A small file system that only the daemon sees; whoever isn't root has to be it in a namespace of their own.
    namespaces = "-m" if os.geteuid() == 0 else "-Urm"
    mount = f'mount -t tmpfs -o size=64k none "{disk}" && head -c 32768 /dev/zero >"{disk}/ballast" && exec "$@"'
    daemon = launch(
        upstream,
        log={"level": "info", "access": str(disk / "access.log")},
        policies=WIDE,
        within=["unshare", namespaces, "bash", "-c", mount, "bash"],
    )
    inside = Path(f"/proc/{daemon.process.pid}/root{disk}")
    with Connection(daemon.port) as connection:

        def ask_on(count: int):
            for _ in range(count):
                assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200

        def is_full() -> bool:
            ask_on(50)
            return daemon.times_said("access log not written, lines are dropped") > 0

        until(is_full, "the disk filling up", 30)
        ask_on(500)
        assert daemon.times_said('access log not written, lines are dropped error="No space left on device"') == 1
        (inside / "ballast").unlink()

        def is_written() -> bool:
            ask_on(1)
            return daemon.times_said("access log written again") > 0

        until(is_written, "the access log going on")
        ask_on(10)
    assert daemon.times_said("access log not written") == daemon.times_said("access log written again") == 1
    daemon.access = inside / "access.log"
    # Every line that is there is whole but for the one that the disk took half of.
    whole = [line for line in daemon.access.read_text().splitlines() if line.startswith('{"time"') and line.endswith("}")]
    assert len(daemon.access.read_text().splitlines()) - len(whole) <= 1
    assert len(whole) > 50


# MARK: Too many clients

OPENER = """
import socket, sys, time
port, count = int(sys.argv[1]), int(sys.argv[2])
held = []
for _ in range(count):
    try:
        held.append(socket.create_connection(("127.0.0.1", port), 10))
    except OSError as problem:
        print(problem, file=sys.stderr)
print("open", len(held), flush=True)
sys.stdin.read()
"""


def test_ten_thousand_connections_opened_and_abandoned(launch, upstream, key):
    daemon = launch(
        upstream, policies=WIDE, limits={"header_timeout": "6s"}, log={"level": "info", "access": "off"}
    )
    with Connection(daemon.port) as kept:
        assert kept.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        descriptors, resident = daemon.descriptors(), daemon.resident()
        # Several processes, since one may have few descriptors.
        openers = [
            subprocess.Popen(
                [sys.executable, "-c", OPENER, str(daemon.port), "600"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(16)
        ]
        assert [opener.stdout.readline() for opener in openers] == ["open 600\n"] * 16
        assert kept.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        # Half of them vanish, the others say nothing for ever.
        for opener in openers[::2]:
            opener.kill()
            opener.wait()
        assert kept.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        until(lambda: daemon.descriptors() <= descriptors, "the end of what was abandoned", 60)
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        assert kept.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
        # What a connection took is there for the next one, so a second time costs little more.
        assert daemon.resident() - resident < 10_000 * 16 * 1024
        for opener in openers[1::2]:
            opener.communicate()
    # Where there are descriptors for fewer, the last ones were refused, which is said once.
    errors = [line for line in daemon.said().splitlines() if line.split(" ")[1] == "error"]
    assert len(errors) <= 1 and all("more connections than limits.connections" in line for line in errors)


def test_one_connection_too_many_is_503_and_does_not_hang(launch, upstream, key):
    daemon = launch(upstream, limits={"connections": 5}, log={"level": "info", "access": "off"})
    over = threading.Event()
    upstream.behaviour = lambda *_: over.wait(30) and reply(b"ok")
    busy = [Connection(daemon.port) for _ in range(5)]
    for connection in busy:
        connection.send(request_bytes("GET", "/health"))
    upstream.wait_for(5)
    for _ in range(20):
        with Connection(daemon.port) as connection:
            # Before it has said anything.
            answer = connection.response()
            problem(answer, 503, "Service Unavailable", "Too many connections", type=REDUCED)
            assert (answer["Retry-After"], answer["Connection"]) == ("1", "close")
            assert connection.at_end()
    over.set()
    until(lambda: ask(daemon.port, "GET", "/health").status == 200, "room for one")
    assert daemon.times_said("error more connections than limits.connections, refusing them") == 1
    until(lambda: daemon.times_said("notice connections are taken again failures="), "the daemon saying so", CALM + 10)
    for connection in busy:
        assert connection.response().status == 200
        connection.close()
