# SPDX-License-Identifier: Apache-2.0
"""What systemd is told by the datagrams of sd_notify(3), with a socket of the tests in its place."""

import signal
import socket
import time

import pytest
from fixtures.frozen_thread import frozen, threads
from fixtures.wire import PATIENCE, ask, until

#: A look around every 100 ms, which is as often as there are any.
OFTEN = "200000"
ALIVE = {"WATCHDOG": "1"}


class Systemd:
    """Who supervises a daemon."""

    def __init__(self, name: str):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self.heard: list[dict[str, str]] = []
        self.env = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": OFTEN}

    def next(self) -> dict[str, str]:
        return self.read(PATIENCE)

    def read(self, patience: float) -> dict[str, str]:
        self.socket.settimeout(patience)
        pairs = [line.partition("=") for line in self.socket.recv(4096).decode().split("\n")]
        assert all(middle for _, middle, _ in pairs) and len({key for key, _, _ in pairs}) == len(pairs), pairs
        self.heard.append({key: value for key, _, value in pairs})
        return dict(self.heard[-1])

    def news(self) -> dict[str, str]:
        """The next message that says more than how it is and that it is alive."""
        while True:
            told = self.next()
            if not told.keys() <= {"STATUS", "WATCHDOG"}:
                return told

    def status(self, begin: str) -> str:
        """The next status that begins so. On a busy machine a loop may be silent for a moment, which is another one."""
        while True:
            told = self.next()
            assert told.keys() <= {"STATUS", "WATCHDOG"}, told
            if told.get("STATUS", "").startswith(begin):
                return told["STATUS"]

    def life(self, times: int):
        """Waits until it has been alive so often."""
        while times:
            told = self.next()
            assert told.keys() <= {"STATUS", "WATCHDOG"}, told
            times -= "WATCHDOG" in told

    def waiting(self) -> list[dict[str, str]]:
        """What has come by now."""
        found = []
        try:
            while True:
                found.append(self.read(0))
        except BlockingIOError:
            return found


@pytest.fixture(params=["path", "name"])
def systemd(request, folder):
    name = str(folder / "notify") if request.param == "path" else f"@tollgate-{folder.name}-{time.monotonic_ns()}"
    manager = Systemd(name)
    yield manager
    manager.socket.close()


@pytest.fixture
def by_path(folder):
    manager = Systemd(str(folder / "notify"))
    yield manager
    manager.socket.close()


def monotonic() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_it_is_told_from_start_to_end(launch, upstream, key, systemd):
    daemon = launch(upstream, env=systemd.env, drain={"delay": "1s", "timeout": "7s"})
    ready = f"Ready, listening on 127.0.0.1:{daemon.port}"
    assert systemd.next() == {"READY": "1", "STATUS": ready}
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    systemd.life(2)

    # Whether or not there is anything new, whoever asked waits for both.
    for reloads, limit in ((0, None), (1, "9/1s")):
        if limit:
            daemon.settings["policies"] = [{"name": "org", "per": "org", "limit": limit}]
            daemon.write()
        before = monotonic()
        daemon.process.send_signal(signal.SIGHUP)
        began = systemd.news()
        assert began.keys() == {"RELOADING", "MONOTONIC_USEC"} and began["RELOADING"] == "1"
        assert before <= int(began["MONOTONIC_USEC"]) <= monotonic()
        assert systemd.news()["READY"] == "1"
        assert daemon.times_said("configuration reloaded") == reloads

    # A change of the file is put to work without a signal: nobody waits for it, and it is seen in the status.
    daemon.write("listen: nowhere\n")
    failed = systemd.status(f"{ready}; the last reload failed: {daemon.config}:1:")
    daemon.process.send_signal(signal.SIGHUP)
    assert systemd.news().keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert systemd.news()["READY"] == "1"
    assert "nowhere" in failed
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    daemon.reload()
    while systemd.status(ready) != ready:
        pass

    daemon.terminate()
    assert systemd.news() == {
        "STOPPING": "1",
        "STATUS": "Draining: finishing what is under way",
        # With the 5 s that it takes to close.
        "EXTEND_TIMEOUT_USEC": "13000000",
    }
    assert daemon.wait() == 0
    # Alive to the end, and nothing else.
    last = systemd.waiting()
    assert last and all(one == ALIVE for one in last)


def test_redis_that_is_away_is_no_reason_to_be_killed(launch, redis, upstream, key, by_path):
    daemon = launch(upstream, env=by_path.env)
    assert by_path.next()["READY"] == "1"
    redis.kill()
    by_path.status(f"Not ready, listening on 127.0.0.1:{daemon.port}: redis unavailable (unreachable): ")
    by_path.life(20)
    redis.start()
    by_path.status("Ready, ")


def test_a_loop_that_stands_still_is_told_by_silence(launch, upstream, by_path):
    daemon = launch(upstream, env=by_path.env, loops=2)
    assert by_path.next()["READY"] == "1"
    loops = threads(daemon.process.pid, "NIO-ELT")
    assert len(loops) == 2
    with frozen(loops[1]):
        by_path.status(f"Not ready, listening on 127.0.0.1:{daemon.port}: loops unresponsive (loops_unheard): 1 of 2 loops ")
        until(lambda: "error loops don't answer, and requests there wait loops.unheard=1" in daemon.said(), "that being said")
        for _ in range(5):
            # Each of these is a look around like the watchdog's.
            assert ask(daemon.admin, "GET", "/readyz").json()["status"] == "loops unresponsive"
        assert not any("WATCHDOG" in told for told in by_path.waiting())
    by_path.status("Ready, ")
    by_path.life(1)
    until(lambda: daemon.times_said("notice all loops answer again") >= 1, "that being said")


def test_who_asks_for_no_watchdog_is_told_of_none(launch, upstream, by_path):
    daemon = launch(upstream, env=by_path.env | {"WATCHDOG_PID": "1"}, drain={"delay": "0s"})
    assert by_path.next()["READY"] == "1"
    daemon.process.send_signal(signal.SIGHUP)
    assert by_path.news()["RELOADING"] == "1"
    assert by_path.news()["READY"] == "1"
    daemon.terminate()
    assert daemon.wait() == 0
    assert by_path.news()["STOPPING"] == "1"
    assert by_path.waiting() == [] and not any("WATCHDOG" in told for told in by_path.heard)


@pytest.mark.parametrize(
    "env, variable",
    [
        ({"NOTIFY_SOCKET": "notify"}, "NOTIFY_SOCKET"),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "NOTIFY_SOCKET"),
        ({"WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC"),
        ({"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "me"}, "WATCHDOG_PID"),
    ],
)
def test_nonsense_is_told_once_and_requests_are_served(launch, upstream, key, env, variable):
    daemon = launch(upstream, env=env)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    (line,) = [one for one in daemon.said().splitlines() if "supervisor" in one]
    assert " warning a variable of the supervisor is ignored error=" in line
    assert line.endswith(f" value={env[variable]} variable={variable}")


def test_a_supervisor_that_is_gone_is_missed_once(launch, upstream, key, folder):
    manager = Systemd(str(folder / "notify"))
    daemon = launch(upstream, env=manager.env)
    assert manager.next()["READY"] == "1"
    manager.socket.close()
    until(lambda: daemon.times_said("the supervisor can't be told how it goes") == 1, "that being said")
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    (folder / "notify").unlink()
    manager = Systemd(str(folder / "notify"))
    assert manager.next() == ALIVE
    until(lambda: daemon.times_said("the supervisor is told again how it goes") == 1, "that being said")
    assert daemon.times_said("the supervisor can't be told how it goes") == 1
    manager.socket.close()
