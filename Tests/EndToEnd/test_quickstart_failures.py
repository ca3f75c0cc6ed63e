# SPDX-License-Identifier: Apache-2.0
"""What a newcomer is told when something is in the way: one line that says what to do, and nothing is left behind."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from fixtures.newcomer import Newcomer, one_at_a_time
from fixtures.programs import ROOT
from fixtures.wire import until

__all__ = ["one_at_a_time"]

#: No network: whatever goes by a proxy finds nobody there.
NOWHERE = "http://127.0.0.1:9"
OFFLINE = {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}


@pytest.fixture
def machine(folder) -> Newcomer:
    return Newcomer(folder)


def line_of(machine: Newcomer, code: int, *arguments: object, patience: float = 120) -> str:
    """The one line that a run fails with."""
    done = machine.run(*arguments, patience=patience)
    assert done.returncode == code, done.stdout + done.stderr
    assert machine.left() == []
    assert "\x1b" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    "arguments,line",
    [
        (["--twice"], "there is no --twice; --help lists what there is"),
        (["demo"], "there is no demo; --help lists what there is"),
        (["--upstream"], "--upstream wants a value; --help tells which"),
        (["--keep="], "--keep wants a value; --help tells which"),
        (["--port", "http"], "--port wants a number up to 65535, it got http"),
        (["--port=65536"], "--port wants a number up to 65535, it got 65536"),
    ],
)
def test_wrong_usage(machine, arguments, line):
    assert line_of(machine, 64, *arguments) == f"quickstart: {line}"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8081",
        "https://127.0.0.1:8081",
        "http://",
        "http://127.0.0.1:8081/api",
        "http://127.0.0.1:8081?x",
        "http://user:password@127.0.0.1:8081",
        "http://127.0.0.1 8081",
        "unix:run/handler.sock",
    ],
)
def test_an_upstream_that_is_none(machine, url):
    assert line_of(machine, 64, "--upstream", url) == (
        "quickstart: --upstream wants http://host:port, without path or password, or unix:/path; it got " + url
    )


def test_an_upstream_with_an_impossible_port(machine):
    assert line_of(machine, 64, "--upstream", "http://127.0.0.1:99999") == (
        "quickstart: --upstream wants a URL such as http://127.0.0.1:8081, it got http://127.0.0.1:99999"
    )


def test_an_upstream_that_is_not_there(machine):
    with socket.socket() as deaf:
        # Bound, so that nobody else gets the port, and not listening.
        deaf.bind(("127.0.0.1", 0))
        for url in (f"http://127.0.0.1:{deaf.getsockname()[1]}", f"unix:{machine.folder}/handler.sock"):
            assert line_of(machine, 69, "--upstream", url) == (
                f"quickstart: nothing answers at {url}: start the handler first, or give another --upstream"
            )


@pytest.mark.parametrize(
    "words,line",
    [
        (b"", "what listens at {url} does not speak HTTP: --upstream wants an HTTP handler"),
        (b"220 mail.example ESMTP\r\n", "what listens at {url} does not speak HTTP: --upstream wants an HTTP handler"),
        (None, "{url} does not answer within 5 s: look after the handler, then start again"),
    ],
)
def test_an_upstream_of_another_kind(machine, words, line):
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if words is not None:
                    connection.recv(4096)
                    connection.sendall(words)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert line_of(machine, 69, "--upstream", url) == "quickstart: " + line.format(url=url)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in held:
        connection.close()


def test_a_port_that_is_taken(machine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert line_of(machine, 69, "--port", port) == (
            f"quickstart: port {port} is taken: end what listens there, or leave --port out to get a free one"
        )


def test_no_compiler(machine):
    machine.remove("swift")
    assert line_of(machine, 69) == (
        "No swift in PATH. Install a toolchain, 6.2 or later: https://www.swift.org/install/linux/"
    )


def test_a_compiler_that_is_too_old(machine):
    machine.place("swift", "#!/bin/sh\necho 'Swift version 5.10.1 (swift-5.10.1-RELEASE)'\n")
    assert line_of(machine, 69) == (
        f"Swift 6.2 or later is needed, {machine.folder}/bin/swift is older: https://www.swift.org/install/linux/"
    )


@pytest.mark.parametrize("version", ["6.0.16", "6.2.14", "5.0.7"])
def test_a_redis_that_is_too_old(machine, version):
    said = f"Redis server v={version} sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=6d95e1af3a2c082a"
    machine.place("redis-server", f"#!/bin/sh\necho '{said}'\n")
    assert line_of(machine, 69) == (
        f"Redis 7.0 or later is needed, {machine.folder}/bin/redis-server is {version}. Put a newer one, or Valkey, "
        "first in PATH: https://redis.io/docs/latest/operate/oss_and_stack/install/"
    )


def test_something_is_missing_and_nobody_may_install_it(machine):
    machine.remove("redis-server")
    machine.place("swift", "#!/bin/sh\necho 'Swift version 6.2'\n")
    machine.as_nobody()
    assert line_of(machine, 77) == (
        "Missing: redis-server. Run this, then start again: "
        "sudo apt-get update && sudo apt-get install -y --no-install-recommends redis-server"
    )


def test_something_is_missing_and_this_is_not_debian(machine):
    machine.remove("redis-server", "apt-get")
    assert line_of(machine, 69) == (
        "Missing, and this is neither Debian nor Ubuntu: install what there is called redis-server, then start again"
    )


def test_something_is_missing_and_there_is_no_network(machine):
    machine.remove("redis-server")
    # An apt of its own that knows of nothing yet, and whose only server is nowhere.
    apt = machine.folder / "apt"
    for part in ("etc/apt.conf.d", "etc/preferences.d", "state/lists/partial", "cache/archives/partial"):
        (apt / part).mkdir(parents=True)
    (apt / "state/status").touch()
    (apt / "etc/sources.list").write_text(f"deb [trusted=yes] {NOWHERE}/debian stable main\n")
    (apt / "apt.conf").write_text(
        f'Dir::Etc "{apt}/etc"; Dir::State "{apt}/state"; Dir::State::status "{apt}/state/status"; '
        f'Dir::Cache "{apt}/cache"; Acquire::Retries "0"; APT::Sandbox::User "";\n'
    )
    machine.env = {"APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C.UTF-8"}
    if os.geteuid() != 0:
        machine.prefix = ["unshare", "--map-root-user"]
    line = line_of(machine, 69)
    assert line.startswith("Could not install redis-server. Is there a network? apt-get said: W: Failed to fetch ")
    assert NOWHERE in line


@pytest.fixture
def clean_clone(machine) -> Path:
    """What somebody has who has only just got the sources."""
    clone = machine.folder / "clone"
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    machine.script = clone / "deploy/quickstart"
    # No packages fetched earlier help, nor how this machine is told to get them.
    home = machine.folder / "home"
    home.mkdir()
    machine.without += ["GIT_", "PIP_", "XDG_", "no_proxy", "NO_PROXY"]
    machine.env = {
        **OFFLINE,
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_RETRIES": "1",
    }
    return clone


def test_no_network_for_the_packages_of_swift(machine, clean_clone):
    (machine.folder / "bin/swift").unlink()
    line = line_of(machine, 69, patience=600)
    assert line.startswith(
        "Building tollgate (the first time takes minutes): no network? "
        "Check it, and https_proxy if there is a proxy, then start again. It said: "
    )


def test_a_fetch_that_hangs_is_no_network(machine):
    machine.place(
        "swift",
        "#!/bin/sh\ncase $1 in --version) echo 'Swift version 6.2' ;; *)\n"
        "echo 'fatal: unable to access it: Failed to connect'; sleep 600 ;; esac\n",
    )
    assert line_of(machine, 69).endswith("It said: fatal: unable to access it: Failed to connect")
    assert machine.left() == []


def test_no_network_for_the_packages_of_python(machine, clean_clone):
    line = line_of(machine, 69, patience=300)
    assert line.startswith(
        "Installing the Python packages of deploy/demo/requirements.txt: no network? "
        "Check it, and https_proxy if there is a proxy, then start again. It said: "
    )


def test_a_build_that_fails_shows_why(machine):
    machine.place(
        "swift",
        "#!/bin/sh\ncase $1 in --version) echo 'Swift version 6.2' ;; *) echo 'error: no space left'; exit 1 ;; esac\n",
    )
    done = machine.run()
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: no space left",
        "Building tollgate (the first time takes minutes): failed with 1; what it said is above",
    ]
    assert machine.left() == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_build_that_is_interrupted_leaves_nothing(machine, ending):
    """Children of the compiler end with it, and one that won't is killed."""
    machine.place(
        "swift",
        "#!/bin/bash\n[[ $1 != --version ]] || { echo 'Swift version 6.2'; exit; }\n"
        "(trap '' TERM INT HUP; echo deaf; sleep 1000 & wait) &\nsleep 1000\n",
    )
    with machine.start() as running:
        until(lambda: sum(line.startswith("sleep 1000") for line in machine.processes()) == 2, "the build", 60)
        assert running.end(ending) == 128 + ending
    assert machine.left() == []


def test_keep_wants_a_folder(machine):
    file = machine.folder / "file"
    file.touch()
    assert line_of(machine, 73, "--keep", file) == f"quickstart: --keep wants a folder, and {file} is none"
    assert line_of(machine, 77, "--keep", file / "below") == (
        f"quickstart: {file}/below can't be made: choose a place for --keep that you may write to"
    )


def test_keep_wants_a_folder_to_write_to(machine):
    kept = machine.folder / "kept"
    kept.mkdir(mode=0o500)
    machine.as_nobody()
    assert line_of(machine, 77, "--keep", kept) == (
        f"quickstart: {kept} is not yours to write to: choose another place for --keep"
    )
    assert line_of(machine, 77, "--keep", kept / "new") == (
        f"quickstart: {kept}/new can't be made: choose a place for --keep that you may write to"
    )


def test_keep_is_for_one_at_a_time(machine):
    kept = machine.folder / "kept"
    kept.mkdir()
    descriptor = os.open(kept, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert line_of(machine, 69, "--keep", kept) == (
        f"quickstart: {kept} is in use by another quickstart: end that first, or choose another folder"
    )
    os.close(descriptor)


def test_a_folder_that_was_made_for_nothing_is_gone_again(machine):
    kept = machine.folder / "kept"
    machine.remove("swift")
    line_of(machine, 69, "--keep", kept)
    assert not kept.exists()


def test_no_place_for_temporary_files(machine):
    missing = machine.temporary / "missing"
    machine.env = {"TMPDIR": str(missing)}
    assert line_of(machine, 73) == (
        f"quickstart: no file can be made in {missing}: let TMPDIR name a folder that you may write to"
    )


def test_a_place_for_temporary_files_that_no_socket_may_be_in(machine):
    deep = machine.temporary / ("d" * 100)
    machine.env = {"TMPDIR": str(deep)}
    assert line_of(machine, 73) == (
        f"quickstart: {deep} is too long a name: let TMPDIR name a folder nearer to the root"
    )


def test_what_was_kept_is_spoilt(machine, upstream):
    kept = machine.folder / "kept"
    (kept / "appendonlydir").mkdir(parents=True)
    (kept / "appendonlydir/appendonly.aof.manifest").write_text("nonsense\n")
    done = machine.run("--upstream", upstream.url, "--keep", kept)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "quickstart: redis did not start; what it said is above"
    assert "AOF manifest" in done.stderr
    assert machine.left() == []


def test_the_daemon_that_can_not_listen(machine, upstream):
    """A port that is taken, but where nobody answers: only the daemon finds out."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = machine.run("--upstream", upstream.url, "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert done.stderr.splitlines()[-1] == "quickstart: tollgate did not start; what it said is above"
    assert machine.left() == []


def test_the_wrong_key_for_what_was_kept(machine, upstream, folder):
    kept = machine.folder / "kept"
    assert machine.run("--upstream", upstream.url, "--keep", kept, "--once").returncode == 0
    machine.env = {"TOLLGATE_KEY": "mcp_" + "A" * 43}
    assert line_of(machine, 65, "--upstream", upstream.url, "--keep", kept, "--once") == (
        f"quickstart: the key in TOLLGATE_KEY does not hold for the data in {kept}: "
        "put in the one that was shown, or unset it"
    )
