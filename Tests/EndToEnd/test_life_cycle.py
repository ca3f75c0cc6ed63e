# SPDX-License-Identifier: Apache-2.0
"""Start, readiness, drain and end of the daemon, and what it says of a configuration it can't use."""

import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from fixtures.programs import built
from fixtures.wire import Closed, Connection, Stopwatch, ask, request_bytes, until


def test_livez_and_readyz(tollgate):
    live = ask(tollgate.admin, "GET", "/livez")
    assert (live.status, live.body.strip()) == (200, b"ok")
    assert ask(tollgate.admin, "GET", "/readyz").status == 200
    assert ask(tollgate.admin, "GET", "/elsewhere").status == 404
    # The admin address is not the way to the handler, and the way to the handler has no admin pages.
    assert ask(tollgate.port, "GET", "/livez").status == 404


def test_sigterm_finishes_what_is_in_flight_and_exits_0(launch, upstream, key):
    daemon = launch(upstream)
    turn = threading.Event()

    def later(*_):
        turn.wait(60)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"

    upstream.behaviour = later
    with Connection(daemon.port) as busy, Connection(daemon.port) as idle:
        busy.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        upstream.wait_for(1)
        daemon.terminate()
        until(lambda: not daemon.listens(), "the listener closing")
        assert not daemon.exited()
        turn.set()
        answer = busy.response()
        assert (answer.status, answer.body) == (200, b"done")
        assert answer["Connection"] == "close"
        assert busy.at_end()
        # An idle connection closes after a second in which a request could still have been under way.
        assert idle.at_end()
        assert daemon.wait() == 0


def in_two_halves(turn: threading.Event):
    """Answers with a head and half a body; the rest is sent when it is its turn."""

    def answer(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        turn.wait(30)
        return b"done"

    return answer


def test_an_answer_that_had_begun_does_not_hold_up_the_drain(launch, upstream, key):
    """Its head said nothing of closing, so its client keeps the connection when the body has ended."""

    def drains() -> bool:
        daemon = launch(upstream, drain={"timeout": "60s"})
        turn = threading.Event()
        upstream.behaviour = in_two_halves(turn)
        with Connection(daemon.port) as busy:
            busy.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
            assert "Connection" not in busy.head()
            daemon.terminate()
            until(lambda: not daemon.listens(), "the listener closing")
            # Those that are idle have gone by now.
            time.sleep(1.5)
            began, sent = time.monotonic(), 0.0
            turn.set()
            assert busy.need(8) == b"halfdone"
            # There is still time for one more request, which is told.
            upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            try:
                busy.send(request_bytes("GET", "/health"))
                sent = time.monotonic()
                assert busy.response()["Connection"] == "close"
                assert busy.at_end()
            except (Closed, OSError):
                # That time is a second, which a busy machine may take for it.
                if (sent or time.monotonic()) - began < 0.5:
                    raise
                return False
        assert daemon.wait() == 0
        return True

    assert any(drains() for _ in range(5))


def test_what_a_drain_waits_for_ends_it(launch, upstream, key):
    daemon = launch(upstream, drain={"timeout": "60s"})
    turn = threading.Event()
    upstream.behaviour = in_two_halves(turn)
    with Connection(daemon.port) as busy, Connection(daemon.port) as refused:
        busy.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        assert busy.head().status == 200
        # Refused, with a body that is never sent whole.
        refused.send(b"POST /api/listings HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
        assert refused.response("POST").status == 401
        daemon.terminate()
        until(lambda: not daemon.listens(), "the listener closing")
        time.sleep(1.5)
        turn.set()
        assert busy.need(8) == b"halfdone"
        assert busy.at_end() and refused.at_end()
        assert daemon.wait() == 0


def test_readyz_says_503_while_draining(launch, upstream, key):
    daemon = launch(upstream)
    turn = threading.Event()
    upstream.behaviour = lambda *_: turn.wait(60) and b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with Connection(daemon.port) as busy:
        busy.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        upstream.wait_for(1)
        daemon.terminate()
        until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "/readyz 503")
        turn.set()
        assert busy.response().status == 200
    assert daemon.wait() == 0


def test_a_stream_is_cut_when_the_drain_is_over(launch, upstream, key):
    daemon = launch(upstream, drain={"timeout": "300ms"})

    def stream(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        connection.recv(1)

    upstream.behaviour = stream
    with Connection(daemon.port) as connection:
        connection.send(
            f"GET /mcp HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        assert connection.head().status == 200
        began, watch = time.monotonic(), Stopwatch()
        daemon.terminate()
        while connection.more():
            pass
        assert time.monotonic() - began > 0.2 and watch.took() < 3
    assert daemon.wait() == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(launch, upstream, key, first):
    daemon = launch(upstream)
    turn = threading.Event()
    upstream.behaviour = lambda *_: turn.wait(20) and None
    with Connection(daemon.port) as busy:
        busy.send(f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
        upstream.wait_for(1)
        daemon.process.send_signal(first)
        until(lambda: not daemon.listens(), "the listener closing")
        assert not daemon.exited()
        watch = Stopwatch()
        daemon.process.send_signal(signal.SIGTERM)
        code = daemon.wait()
        assert watch.took() < 1
        # It did not finish what was in flight, and says so.
        assert code > 0
    turn.set()


def test_a_signal_while_it_starts_drains_what_has_started(launch, upstream, folder):
    """Without Redis it takes a second to start. Where that was too short for this test, another daemon is tried."""
    order = ["admin listening", "ending signal=SIGTERM", "info listening", "info draining", "info ended"]
    for _ in range(5):
        daemon = launch(upstream, wait=False, redis_url=f"unix:{folder}/nowhere.sock")
        until(lambda: "admin listening" in daemon.said(), "the admin address")
        daemon.terminate()
        assert daemon.wait() == 0
        said = daemon.said()
        if sorted(order, key=said.index) == order:
            return
    raise AssertionError(said)


def test_an_idle_daemon_ends_promptly(tollgate):
    watch = Stopwatch()
    tollgate.terminate()
    assert tollgate.wait() == 0
    assert watch.took() < 2


def test_a_port_that_is_taken_is_said_so(launch, upstream):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = launch(upstream, wait=False, listen=f"127.0.0.1:{port}")
        code = daemon.wait()
    assert code not in (0, 78) and code > 0
    assert str(port) in daemon.said()


def test_flags_go_before_the_environment_and_that_before_the_file(launch, upstream):
    variable = {"TOLLGATE_LISTEN": "127.0.0.2:0"}
    daemon = launch(upstream, ready=False, env=variable)
    assert daemon.address("listening")[0] == "127.0.0.2"
    flags = ["serve", "--config", str(daemon.config), "--listen", "127.0.0.3:0"]
    assert launch(upstream, ready=False, env=variable, arguments=flags).address("listening")[0] == "127.0.0.3"


def test_without_any_file_flags_are_enough(launch, redis, upstream, key):
    flags = ["--upstream", upstream.url, "--redis", redis.url, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    daemon = launch(upstream, arguments=flags)
    assert ask(daemon.port, "GET", "/anything/at/all", key).status == 200
    assert ask(daemon.port, "GET", "/anything/at/all").status == 401


CONFIGURATIONS = {
    "unknown key": ("listen: 127.0.0.1:0\nlissten: 1\n", 2, "lissten", "listen"),
    "unknown nested key": ("redis:\n  url: redis://127.0.0.1\n  timout: 5ms\n", 3, "redis.timout", "timeout"),
    "wrong type": ("loops: many\n", 1, "loops", "many"),
    "impossible value": ("loops: 0\n", 1, "loops", "0"),
    "bad duration": ("upstream:\n  connect_timeout: fast\n", 2, "upstream.connect_timeout", "fast"),
    "bad limit": ("policies:\n  - name: org\n    per: org\n    limit: lots\n", 4, "limit", "lots"),
    "unknown per": ("policies:\n  - name: org\n    per: planet\n    limit: 1/1s\n", 3, "per", "planet"),
    "unknown route in match": (
        "routes:\n  - path: /a\npolicies:\n  - name: p\n    per: key\n    limit: 1/1s\n    match: {routes: [/b]}\n",
        7,
        "routes",
        "/b",
    ),
    "given twice": ("loops: 1\nloops: 2\n", 2, "loops", ""),
    "not yaml": ("listen: [\n", 2, "", ""),
    "a list": ("- listen\n", 1, "", ""),
}


@pytest.mark.parametrize("text,line,key,word", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_configuration_it_cannot_use_is_78_with_file_line_and_key(folder, text, line, key, word):
    file = folder / "tollgate.yaml"
    file.write_text(text)
    for arguments in (["--config", str(file)], ["config", "check", str(file)]):
        done = subprocess.run(
            [built("tollgate"), *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 78, (arguments, done.stdout, done.stderr)
        located = re.search(rf"{re.escape(str(file))}:(\d+):", done.stderr)
        assert located and int(located[1]) == line, done.stderr
        assert key in done.stderr and word in done.stderr


def test_a_configuration_it_can_use_is_0(folder):
    file = folder / "tollgate.yaml"
    file.write_text("listen: 127.0.0.1:8080\npolicies:\n  - {name: org, per: org, limit: 20/10s}\n")
    done = subprocess.run([built("tollgate"), "config", "check", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments,code",
    [
        (["--nonsense"], 64),
        (["serve", "extra"], 64),
        (["--config", "/nonexistent/tollgate.yaml"], 78),
        (["--listen", "nowhere"], 78),
        (["--log-level", "loud"], 78),
    ],
)
def test_bad_flags_have_their_exit_codes(arguments, code):
    done = subprocess.run(
        [built("tollgate"), *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.strip()


def test_no_secret_is_in_what_it_says(folder):
    file = folder / "tollgate.yaml"
    file.write_text("redis:\n  url: redis://user:hunter2@127.0.0.1:99999/0\n")
    done = subprocess.run([built("tollgate"), "config", "check", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert "hunter2" not in done.stdout + done.stderr
