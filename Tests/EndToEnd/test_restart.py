# SPDX-License-Identifier: Apache-2.0
"""A daemon that goes away and the one that takes its place, as their clients see it."""

import os
import re
import signal
import socket
import subprocess
import time

import pytest
from fixtures.ports import free_port
from fixtures.programs import Daemon, built
from fixtures.upstream import reply
from fixtures.wire import Closed, Connection, Truncated, ask, request_bytes, until

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as bound:
        yield bound


def port_of(listener: socket.socket) -> int:
    return listener.getsockname()[1]


def wrk(port: int, key: str, seconds: int, connection: str) -> subprocess.Popen:
    fields = ["-H", f"X-API-Key: {key}", "-H", f"Connection: {connection}"]
    return subprocess.Popen(
        ["wrk", "-t", "2", "-c", "32", "-d", f"{seconds}s", "--timeout", "20s", *fields]
        + [f"http://127.0.0.1:{port}/api/listings"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_rolling_restart_under_load_fails_no_request(launch, upstream, key, listener, connection):
    port = port_of(listener)
    upstream.behaviour = lambda *_: reply(b"{}")
    settings = {"listen": f"127.0.0.1:{port}", "inherit": [listener], "policies": WIDE}
    daemon = launch(upstream, **settings)
    load = wrk(port, key, 120, connection)
    for _ in range(3):
        time.sleep(1)
        assert load.poll() is None
        successor = launch(upstream, **settings)
        before = len(daemon.lines())
        daemon.terminate()
        assert daemon.wait() == 0
        assert len(daemon.lines()) > before > 0
        daemon = successor
    # It has run long enough, and tells what it has seen.
    load.send_signal(signal.SIGINT)
    said, _ = load.communicate(timeout=60)
    assert load.returncode == 0, said
    served = int(re.search(r"(\d+) requests in", said)[1])
    assert served > 100
    # wrk has lines for these only where there were some.
    assert "Socket errors" not in said and "Non-2xx" not in said, said


@pytest.mark.parametrize("kind", ["port", "unix socket", "inherited"])
def test_who_waits_to_be_accepted_when_the_end_comes_is_still_served(launch, upstream, key, folder, listener, kind):
    place = {"port": free_port(), "unix socket": str(folder / "a.sock"), "inherited": port_of(listener)}[kind]
    listen = f"127.0.0.1:{place}" if isinstance(place, int) else f"unix:{place}"
    inherit = [listener] if kind == "inherited" else None
    daemon = launch(upstream, listen=listen, policies=WIDE, inherit=inherit)
    # Stopped, so that the kernel alone deals with them.
    daemon.process.send_signal(signal.SIGSTOP)
    connections = [Connection(place) for _ in range(200)]
    for connection in connections:
        connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
    daemon.terminate()
    daemon.process.send_signal(signal.SIGCONT)
    for connection in connections:
        answer = connection.response()
        assert answer.status == 200
        assert connection.at_end()
        connection.close()
    assert daemon.wait() == 0
    assert len(upstream.requests) == 200


def test_a_kept_connection_has_a_second_for_its_next_request_which_is_its_last(launch, upstream, key):

    def is_served() -> bool:
        daemon = launch(upstream, policies=WIDE)
        with Connection(daemon.port) as connection:
            first = connection.request("GET", "/api/listings", {"X-API-Key": key})
            assert first.status == 200 and "Connection" not in first
            began, sent = time.monotonic(), 0.0
            daemon.terminate()
            until(lambda: not daemon.listens(), "the listener closing")
            try:
                connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
                sent = time.monotonic()
                last = connection.response()
                assert (last.status, last["Connection"]) == (200, "close")
                assert connection.at_end()
            except (Closed, OSError):
                # On a busy machine the second may be over before.
                if (sent or time.monotonic()) - began < 0.5:
                    raise
                return False
        assert daemon.wait() == 0
        return True

    assert any(is_served() for _ in range(5))


def test_during_the_delay_readyz_says_503_and_all_is_served_as_ever(launch, upstream, key):
    daemon = launch(upstream, drain={"delay": "1500ms"})
    with Connection(daemon.port) as kept:
        began = time.monotonic()
        daemon.terminate()
        until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "/readyz 503")
        assert ask(daemon.admin, "GET", "/readyz").json() == {"status": "draining"}
        answer = kept.request("GET", "/api/listings", {"X-API-Key": key})
        assert answer.status == 200
        if time.monotonic() - began < 1:
            # A machine that stalls may be past the delay by here.
            assert "Connection" not in answer
            assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        until(lambda: not daemon.listens(), "the listener closing")
        assert time.monotonic() - began > 1.4
    assert daemon.wait() == 0


def test_a_second_signal_during_the_delay_ends_at_once(launch, upstream):
    daemon = launch(upstream, drain={"delay": "60s"})
    daemon.terminate()
    until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "/readyz 503")
    assert daemon.listens() and not daemon.exited()
    daemon.terminate()
    assert daemon.wait() == 1


def test_what_is_under_way_past_the_timeout_is_cut(launch, upstream, key):
    daemon = launch(upstream, drain={"timeout": "300ms"})

    def half(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        connection.recv(1)

    upstream.behaviour = half
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        assert connection.head().status == 200
        daemon.terminate()
        with pytest.raises(Truncated):
            connection.need(10)
    assert daemon.wait() == 0


# MARK: Inherited sockets


def test_inherited_sockets_of_both_kinds_are_used_and_outlive_the_daemon(launch, upstream, key, folder, listener):
    path = str(folder / "inherited.sock")
    with socket.create_server(path, family=socket.AF_UNIX, backlog=1024) as unix:
        port, own = port_of(listener), free_port()
        daemon = launch(
            upstream,
            listen=[f"unix:{path}", f"127.0.0.1:{port}", f"127.0.0.1:{own}"],
            inherit=[listener, unix],
            policies=WIDE,
        )
        assert sorted(daemon.listening()) == sorted([f"unix:{path}", f"127.0.0.1:{port}", f"127.0.0.1:{own}"])
        inode = os.stat(path).st_ino
        for place in (port, path, own):
            assert ask(place, "GET", "/api/listings", key).status == 200
        daemon.terminate()
        assert daemon.wait() == 0
        # The one it has bound is gone; the others wait for its successor.
        with pytest.raises(ConnectionRefusedError):
            Connection(own)
        waiting = [Connection(port), Connection(path)]
        for connection in waiting:
            connection.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        launch(upstream, listen=[f"unix:{path}", f"127.0.0.1:{port}"], inherit=[unix, listener], policies=WIDE)
        for connection in waiting:
            assert connection.response().status == 200
            connection.close()
        assert os.stat(path).st_ino == inode


def refused(daemon: Daemon) -> str:
    assert daemon.wait() == 78
    return daemon.said()


def test_an_inherited_socket_that_listen_does_not_name_is_refused(launch, upstream, listener):
    port, other = port_of(listener), free_port()
    said = refused(launch(upstream, wait=False, listen=[f"127.0.0.1:{other}", "unix:/a"], inherit=[listener]))
    assert f"descriptor 3 of LISTEN_FDS listens on 127.0.0.1:{port}, which is none of listen:" in said
    assert f"listen: 127.0.0.1:{other}, unix:/a" in said


@pytest.mark.parametrize("kind", ["datagrams", "not listening", "a file"])
def test_what_is_no_listening_socket_is_refused(launch, upstream, folder, kind):
    if kind == "a file":
        stranger = (folder / "file").open("w")
    else:
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM)
        stranger.bind(("127.0.0.1", 0))
    with stranger:
        said = refused(launch(upstream, wait=False, inherit=[stranger]))
    assert "descriptor 3 of LISTEN_FDS is no listening stream socket" in said


def test_a_descriptor_that_is_not_open_is_refused(folder):
    done = subprocess.run(
        ["bash", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "bash", built("tollgate"), "--admin", "off"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78
    assert "descriptor 3 of LISTEN_FDS is no listening stream socket" in done.stderr


def test_nonsense_about_sockets_is_refused(launch, upstream):
    said = refused(launch(upstream, wait=False, env={"LISTEN_FDS": "1", "LISTEN_PID": "me"}))
    assert "LISTEN_PID: expected a number, got 'me'" in said


def test_sockets_meant_for_another_process_are_left_alone(launch, upstream, key):
    daemon = launch(upstream, env={"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
