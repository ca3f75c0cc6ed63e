# SPDX-License-Identifier: Apache-2.0
"""Where clients connect: ports, Unix sockets, several at once; and a handler behind a Unix socket."""

import os
import socket
import stat
import subprocess
import time

import pytest
from fixtures.ports import free_port
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, ask, request_bytes

WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]


@pytest.fixture
def path(folder) -> str:
    return str(folder / "tollgate.sock")


@pytest.fixture
def unix_upstream(folder):
    handler = Upstream(path=str(folder / "handler.sock"))
    yield handler
    handler.close()


def test_curl_reaches_the_handler_from_unix_socket_to_unix_socket(launch, unix_upstream, key, path):
    daemon = launch(unix_upstream, listen=f"unix:{path}")
    assert daemon.listening() == [f"unix:{path}"]
    done = subprocess.run(
        ["curl", "-sS", "-i", "--unix-socket", path, "-H", f"X-API-Key: {key}", "http://any.example/api/listings?x=1"],
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n") and b"X-RateLimit-Remaining: 19\r\n" in done.stdout
    request = unix_upstream.last
    assert (request.method, request.target) == ("GET", "/api/listings?x=1")
    # A Unix socket has no name, and no address either.
    assert request.get("Host") == "any.example"
    assert request.get("X-Forwarded-For") is None
    assert request.get("X-Forwarded-Host") == "any.example"


def test_whoever_comes_through_a_unix_socket_is_unix_and_believed(launch, upstream, key, path):
    daemon = launch(upstream, listen=f"unix:{path}", policies=[{"name": "address", "per": "address", "limit": "15/1h"}])
    # One bucket for all who say no more, another for whom a proxy names.
    assert ask(path, "GET", "/api/listings").limits() == (15, 14)
    assert ask(path, "GET", "/api/listings").limits() == (15, 13)
    named = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    assert ask(path, "GET", "/api/listings", fields=named).limits() == (15, 14)
    assert ask(path, "GET", "/api/listings", key, fields=named).status == 200
    # The peer has no address that could be appended.
    assert upstream.last.get("X-Forwarded-For") == "192.0.2.7"
    assert upstream.last.get("X-Forwarded-Proto") == "https"
    assert sorted(line["client"] for line in daemon.lines(4)) == ["192.0.2.7", "192.0.2.7", "unix", "unix"]


def test_a_unix_peer_that_is_not_trusted_is_not_believed(launch, upstream, key, path):
    daemon = launch(upstream, listen=f"unix:{path}", trusted_proxies=["127.0.0.0/8"])
    assert ask(path, "GET", "/api/listings", key, fields={"X-Forwarded-For": "192.0.2.7"}).status == 200
    assert upstream.last.get("X-Forwarded-For") is None
    assert daemon.lines(1)[0]["client"] == "unix"


def test_the_socket_is_for_user_and_group_and_nothing_lies_beside_it(launch, upstream, path):
    old = os.umask(0)
    try:
        daemon = launch(upstream, listen=f"unix:{path}")
    finally:
        os.umask(old)
    mode = os.stat(path).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660
    assert not os.path.exists(f"{path}.{daemon.process.pid}")


def test_a_daemon_takes_the_path_over_and_its_predecessor_leaves_it_alone(launch, upstream, key, path):
    first = launch(upstream, listen=f"unix:{path}")
    assert ask(path, "GET", "/api/listings", key).status == 200
    before = os.stat(path).st_ino
    second = launch(upstream, listen=f"unix:{path}")
    assert os.stat(path).st_ino != before
    first.terminate()
    assert first.wait() == 0
    assert ask(path, "GET", "/api/listings", key).status == 200
    assert len(second.lines(1)) == 1
    # What a daemon that was killed left behind is in nobody's way.
    second.process.kill()
    second.wait()
    second.process = None
    with pytest.raises(ConnectionRefusedError):
        ask(path, "GET", "/api/listings", key)
    launch(upstream, listen=f"unix:{path}")
    assert ask(path, "GET", "/api/listings", key).status == 200


def test_a_file_that_is_no_socket_is_left_alone(launch, upstream, folder):
    file = folder / "precious"
    file.write_text("kept")
    daemon = launch(upstream, listen=f"unix:{file}", wait=False)
    assert daemon.wait() == 1
    assert f"cannot listen on unix:{file}: there is a file that is no socket" in daemon.said()
    assert file.read_text() == "kept"


def test_a_folder_that_is_not_there_is_told(launch, upstream, folder):
    daemon = launch(upstream, listen=f"unix:{folder}/none/a.sock", wait=False)
    assert daemon.wait() == 1
    assert f"cannot listen on unix:{folder}/none/a.sock: No such file or directory" in daemon.said()


def test_several_listeners_are_one_service(launch, upstream, key, path):
    other = free_port()
    policies = [{"name": "org", "per": "org", "limit": "20/1h"}]
    daemon = launch(upstream, listen=["127.0.0.1:0", f"unix:{path}", f"127.0.0.2:{other}"], policies=policies)
    assert daemon.listening()[1:] == [f"unix:{path}", f"127.0.0.2:{other}"]
    remaining = [ask(place, "GET", "/api/listings", key).limits() for place in (daemon.port, path)]
    with socket.create_connection(("127.0.0.2", other), 10) as connection:
        connection.sendall(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        octets = b""
        while b"\r\n\r\n" not in octets:
            octets += connection.recv(65536)
    answer = octets.decode()
    assert answer.startswith("HTTP/1.1 200 ") and "X-RateLimit-Remaining: 17\r\n" in answer
    # One bucket, wherever they came in.
    assert remaining == [(20, 19), (20, 18)]
    daemon.terminate()
    assert daemon.wait() == 0
    for place in (daemon.port, path):
        with pytest.raises(ConnectionRefusedError):
            ask(place, "GET", "/health")


def test_listeners_open_together_or_not_at_all(launch, upstream, key):
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = launch(upstream, listen=[f"127.0.0.1:{free}", f"127.0.0.1:{port}"], wait=False)
        assert daemon.wait() == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use (listen: sets another address)" in daemon.said()
    assert "info listening" not in daemon.said()


def test_a_handler_behind_a_unix_socket_may_come_and_go(launch, folder, key):
    place = str(folder / "handler.sock")
    daemon = launch(f"unix:{place}", upstream_settings={"host": "preserve"})
    assert ask(daemon.port, "GET", "/api/listings", key).status == 502
    for body in (b"one", b"two"):
        handler = Upstream(path=place)
        handler.behaviour = lambda *_, body=body: reply(body)
        answer = ask(daemon.port, "GET", "/api/listings", key, fields={"Host": "api.example"})
        assert (answer.status, answer.body) == (200, body)
        assert handler.last.get("Host") == "api.example"
        handler.close()
        os.unlink(place)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 502


def test_a_unix_socket_whose_queue_is_full_is_waited_for(launch, folder, key):
    place = str(folder / "handler.sock")
    # Room for two in the queue, and nobody looks.
    with socket.create_server(place, family=socket.AF_UNIX, backlog=1) as listener:
        daemon = launch(f"unix:{place}", loops=1, policies=WIDE, upstream_settings={"connect_timeout": "6s"})
        callers = [Connection(daemon.port) for _ in range(30)]
        for caller in callers:
            caller.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        # What is in the queue has been accepted as far as a client can tell.
        time.sleep(0.3)
        for _ in callers:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(65536).endswith(b"\r\n\r\n")
                connection.sendall(reply(b"ok", fields={"Connection": "close"}))
        assert [caller.response().status for caller in callers] == [200] * 30
        # For ever it isn't.
        late = [Connection(daemon.port) for _ in range(6)]
        began = time.monotonic()
        for caller in late:
            caller.send(request_bytes("GET", "/api/listings", {"X-API-Key": key}))
        assert late[-1].response().status == 504
        assert time.monotonic() - began > 5.9
        for caller in [*callers, *late]:
            caller.close()


def test_a_location_of_the_handler_behind_a_unix_socket_is_made_ours(launch, unix_upstream, key):
    daemon = launch(unix_upstream)
    unix_upstream.behaviour = lambda *_: reply(
        status="307 Temporary Redirect", fields={"Location": "http://localhost/mcp?x=1"}
    )
    answer = ask(daemon.port, "GET", "/mcp", key, fields={"Host": "api.example:8000"})
    assert answer["Location"] == "http://api.example:8000/mcp?x=1"
