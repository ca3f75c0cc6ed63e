# SPDX-License-Identifier: Apache-2.0
"""The first command of the README, run as a newcomer runs it."""

import re
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from fixtures.newcomer import Newcomer, one_at_a_time
from fixtures.ports import free_port
from fixtures.programs import ROOT, Control
from fixtures.upstream import Upstream
from fixtures.wire import Connection, ask

__all__ = ["one_at_a_time"]

#: It builds, and where nothing is built yet that takes this long.
BUILDING = 1500
#: Without building; the machine may be busy.
PATIENCE = 120
KEY = re.compile(r"mcp_[A-Za-z0-9_-]{43}")


@pytest.fixture
def machine(folder) -> Newcomer:
    """One on which everything is built already."""
    return Newcomer(folder)


def statuses(said: str) -> list[int]:
    return [int(status) for status in re.findall(r"^HTTP/1.1 (\d{3})", said, re.MULTILINE)]


def port_of(said: str) -> int:
    return int(re.search(r"Running at http://127\.0\.0\.1:(\d+)", said)[1])


def succeed(machine: Newcomer, *arguments: object) -> str:
    done = machine.run(*arguments, patience=PATIENCE)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert machine.left() == []
    return done.stdout


# Everything as it is, the build included.


def test_once_shows_each_answer_and_leaves_nothing_behind(folder):
    machine = Newcomer(folder, is_built=False)
    done = machine.run("--once", patience=BUILDING)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "Harbour view loft" in said
    assert "x-ratelimit-remaining:" in said
    assert KEY.search(said)
    assert statuses(said) == [200, 404, 405, 401, 429]
    assert "\x1b" not in said
    assert machine.left() == []
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    assert not [line for line in status.stdout.splitlines() if line.startswith("??") and "venv" in line]


@pytest.mark.parametrize("ending,code", [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_runs_until_it_is_told_to_stop(folder, ending, code):
    machine = Newcomer(folder, is_built=False)
    with machine.start() as running:
        running.until("Ctrl-C", BUILDING)
        key = KEY.search(running.said())[0]
        assert ask(port_of(running.said()), "GET", "/api/listings", key).status == 200
        # The key is in no list of processes.
        assert not [line for line in machine.processes() if key in line]
        assert running.end(ending) == code
    assert machine.left() == []


def test_help_tells_what_it_does(machine):
    said = succeed(machine, "--help")
    for option in ("--upstream URL", "--port N", "--tls", "--keep DIR", "--once", "--help"):
        assert re.search(rf"^  {option} ", said, re.MULTILINE)


# --upstream


@pytest.fixture(params=["tcp", "unix"])
def handler(request, folder):
    upstream = Upstream(str(folder / "handler.sock") if request.param == "unix" else None)
    yield upstream
    upstream.close()


def test_it_guards_a_handler_of_ones_own(machine, handler):
    said = succeed(machine, "--upstream", handler.url, "--once")
    assert statuses(said) == [200, 401, 429]
    key = KEY.search(said)[0]
    assert f"# what {handler.url} answers, with where you stand" in said
    assert 'RateLimit: "org";r=19;t=10' in said
    # It was asked once to see that it is there; what came later came through Tollgate, and the key with none of it.
    first, *rest = handler.requests
    assert (first.method, first.target, first.get("X-Tollgate-Org")) == ("GET", "/", None)
    assert {request.get("X-Tollgate-Org") for request in rest} == {"demo"}
    assert [request.target for request in rest][:2] == ["/", "/?n=1"]
    assert 20 <= len(rest) < 26
    assert key.encode() not in handler.received
    # None of what the demo takes is needed.
    assert "Python" not in said


def test_a_handler_is_called_no_more_than_it_takes_to_see_it_answer(machine, upstream):
    upstream.behaviour = lambda request, _: b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    with machine.start("--upstream", upstream.url) as running:
        running.until("Ctrl-C")
        said = running.said()
        # A handler with nothing at its root is a handler all the same.
        assert statuses(said) == [404]
        assert [request.target for request in upstream.requests] == ["/", "/"]
        answer = ask(port_of(said), "POST", "/anything?at=all", KEY.search(said)[0], body=b"x")
        assert (answer.status, answer.body) == (404, b"no")
        assert ask(port_of(said), "GET", "/anything").status == 401
        assert running.end() == 0
    assert machine.left() == []


def test_the_handler_may_have_the_port_that_is_meant_for_tollgate(machine, upstream):
    """Where 8080 is taken, by the handler or by anybody, another port is used and said."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # If this fails somebody else has it.
        with suppress(OSError):
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        with machine.start("--upstream", upstream.url) as running:
            running.until("Ctrl-C")
            assert port_of(running.said()) not in (0, 8080)
            assert running.end() == 0


@pytest.mark.parametrize("given", ["zero", "free"])
def test_a_port_of_ones_choice(machine, upstream, given):
    port = 0 if given == "zero" else free_port()
    with machine.start("--upstream", upstream.url, f"--port={port}") as running:
        running.until("Ctrl-C")
        assert port_of(running.said()) not in (0, 8080) if port == 0 else port_of(running.said()) == port
        assert ask(port_of(running.said()), "GET", "/").status == 401
        assert running.end() == 0


def test_a_proxy_in_the_environment_is_not_asked_for_what_is_here(machine, upstream):
    machine.env = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "ALL_PROXY")}
    assert statuses(succeed(machine, "--upstream", upstream.url, "--once")) == [200, 401, 429]


def test_what_ends_by_itself_is_told_and_ends_the_rest(machine, upstream):
    with machine.start("--upstream", upstream.url) as running:
        running.until("Ctrl-C")
        (redis,) = [line for line in machine.processes() if line.startswith("redis-server")]
        url = re.search(r"TOLLGATE_REDIS_URL=unix:(\S+)", running.said())[1]
        assert url in redis
        subprocess.run(["redis-cli", "-s", url, "shutdown", "nosave"], timeout=20)
        assert running.process.wait(30) == 1
        assert running.said().splitlines()[-1] == "quickstart: redis ended by itself; what it said is above"
    assert machine.left() == []


# --tls


def secured(said: str) -> tuple[int, Path]:
    """The port, and the file of the authority."""
    return int(re.search(r"Running at https://127\.0\.0\.1:(\d+)", said)[1]), Path(re.search(r"--cacert (\S+)", said)[1])


def test_tls_by_an_authority_made_on_the_spot(machine, upstream):
    with machine.start("--upstream", upstream.url, "--tls") as running:
        running.until("Ctrl-C")
        said = running.said()
        port, authority = secured(said)
        assert statuses(said) == [200]
        context = ssl.create_default_context(cafile=str(authority))
        for name in ("127.0.0.1", "localhost"):
            with Connection(port) as connection:
                connection.socket = context.wrap_socket(connection.socket, server_hostname=name)
                assert connection.request("GET", "/", {"X-API-Key": KEY.search(said)[0]}).status == 200
        # As it is shown, to be copied.
        (line,) = [line for line in said.splitlines() if line.strip().startswith("curl") and line.endswith(f":{port}/'")][:1]
        copied = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30)
        assert statuses(copied.stdout) == [200], copied.stderr
        # Nobody signs by it afterwards, and nobody who doesn't know it is talked into it.
        assert sorted(file.name for file in authority.parent.iterdir()) == ["ca.pem", "server.key", "server.pem"]
        assert (authority.parent / "server.key").stat().st_mode & 0o077 == 0
        refused = subprocess.run(["curl", "-q", "-sS", f"https://localhost:{port}/"], capture_output=True, timeout=30)
        assert refused.returncode == 60
        assert f"SSL_CERT_FILE={authority}" in said and f"NODE_EXTRA_CA_CERTS={authority}" in said
        assert running.end() == 0
    assert machine.left() == []


def test_the_demo_over_tls(folder):
    machine = Newcomer(folder, is_built=False)
    done = machine.run("--tls", "--once", patience=BUILDING)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert machine.left() == []
    assert "Harbour view loft" in said
    assert statuses(said) == [200, 404, 405, 401, 429]
    assert "Making a private authority" in said
    assert "http://" not in said


# --keep


def files(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_what_is_kept_is_there_at_the_next_start(machine, upstream):
    kept = machine.folder / "kept"
    arguments = ["--upstream", upstream.url, "--keep", kept, "--once"]
    first = succeed(machine, *arguments)
    key = KEY.search(first)[0]
    assert f"Redis keeps its data in {kept}" in first
    assert key.encode() not in files(kept)

    # The organization and its key are found, nothing is issued, and what can't be known is not shown.
    said = [succeed(machine, *arguments) for _ in range(2)]
    (told,) = {re.search(r"The organization demo is there from before, with the key (.*)", once)[1] for once in said}
    assert re.fullmatch(r"demo/[a-z2-7]{10}", told)
    for once in said:
        assert not KEY.search(once)
        assert 'curl -i -H "X-API-Key: $TOLLGATE_KEY"' in once
        assert statuses(once) == [401]

    # With the key that the first start showed it is as at the first.
    machine.env = {"TOLLGATE_KEY": key}
    again = succeed(machine, *arguments)
    assert f"with the key {told}" in again
    assert statuses(again) == [200, 401, 429]


def test_where_every_key_was_revoked_another_is_issued(machine, upstream):
    kept = machine.folder / "kept"
    keys = []
    for _ in range(2):
        with machine.start("--upstream", upstream.url, "--keep", kept) as running:
            running.until("Ctrl-C")
            said = running.said()
            keys.append(KEY.search(said)[0])
            assert ask(port_of(said), "GET", "/", keys[-1]).status == 200
            if len(keys) == 1:
                control = Control(re.search(r"TOLLGATE_REDIS_URL=(\S+)", said)[1])
                control.revoke(control("key", "list", "--org", "demo", "--json").split('"id":"')[1].split('"')[0])
            else:
                assert ask(port_of(said), "GET", "/", keys[0]).status == 401
            assert running.end() == 0
    assert keys[0] != keys[1]
    assert machine.left() == []


# On a terminal


@pytest.mark.parametrize("env,coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(machine, upstream, env, coloured):
    terminal = machine.on_terminal("--upstream", upstream.url, "--once", **env)
    screen = terminal.end(PATIENCE)
    assert terminal.code == 0, screen
    assert ("\x1b[32m==>" in screen) == coloured
    assert (re.search(r"\x1b\[[0-9;]*m", screen) is not None) == coloured
    assert machine.left() == []


def test_ctrl_c_ends_everything(machine, upstream):
    terminal = machine.on_terminal("--upstream", upstream.url)
    terminal.until("until Ctrl-C", PATIENCE)
    assert len(machine.processes()) >= 3
    terminal.type("\x03")
    screen = terminal.end(PATIENCE)
    assert terminal.code == 0, screen
    assert machine.left() == []
