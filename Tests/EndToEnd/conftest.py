# SPDX-License-Identifier: Apache-2.0
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from fixtures.clients import running_handler
from fixtures.programs import ROOT, Control, Daemon
from fixtures.redis_server import RedisServer, clock, not_at_the_end_of
from fixtures.template import key_in
from fixtures.upstream import Upstream
from fixtures.wire import until

#: Ten minutes of load, and another build, which only `Tests/run --long` asks for.
collect_ignore = [] if "TOLLGATE_SOAK" in os.environ else ["test_soak.py"]
collect_ignore += [] if "TOLLGATE_WITHOUT_TLS" in os.environ else ["test_without_tls.py"]

#: Every test runs on the debug build, with its assertions, but for those of `release_alone`. A test elsewhere that belongs
#: to one of these carries the mark itself.
MARKS = {
    "release": (
        "on the release build too: where octets are read and passed on, an optimized program may differ",
        {
            "test_malformed.py",
            "test_mcp_wires.py::test_2026",
            "test_mcp_wires.py::test_a_session_answered_by_streams",
            "test_mcp_wires.py::test_a_stream_that_is_cut_goes_on_where_it_was",
            "test_restart.py::test_a_rolling_restart_under_load_fails_no_request",
            "test_restart.py::test_who_waits_to_be_accepted_when_the_end_comes_is_still_served",
            "test_streaming.py",
            "test_upstream.py",
        },
    ),
    "release_alone": (
        "on the release build and no other: its speed and memory are what is promised, or it is what others get",
        {
            "test_fleet.py",
            "test_image.py",
            "test_load.py",
            "test_package.py",
            "test_quickstart.py::test_it_runs_until_it_is_told_to_stop",
            "test_quickstart.py::test_once_shows_each_answer_and_leaves_nothing_behind",
            "test_quickstart.py::test_the_demo_over_tls",
            "test_soak.py",
        },
    ),
    "alone": (
        "beside no other test: it floods the machine, or measures what the machine gives",
        {
            "test_chaos_faults.py",
            "test_chaos_redis.py",
            "test_fleet.py",
            "test_floods.py",
            "test_load.py",
            # Those that hold an answer to its time.
            "test_lateness.py::test_open_admits_no_more_for_a_pause",
            "test_lateness.py::test_twenty_pauses_refuse_nobody",
            "test_lateness.py::test_who_is_stopped_blames_nobody",
            "test_redis.py::test_a_revocation_during_the_outage_holds_after_it",
            "test_redis.py::test_absent_at_boot_and_coming_later",
            "test_redis.py::test_connections_to_redis_do_not_pile_up",
            "test_redis.py::test_frozen_and_thawed",
            "test_redis.py::test_frozen_with_many_callers_at_once",
            "test_redis.py::test_killed_and_back_again_and_again",
            "test_redis.py::test_killed_and_back_with_its_data",
            "test_redis.py::test_local_counts_known_keys_in_process",
            "test_redis.py::test_open_lets_known_keys_pass_uncharged",
            # All that a machine gives for some seconds.
            "test_restart.py::test_a_rolling_restart_under_load_fails_no_request",
            "test_slash_redirects.py::test_what_is_kept_counts_until_the_answer_begins",
            "test_slash_refunds.py::test_redirects_are_free_up_to_a_rate",
            "test_soak.py",
            "test_storm.py",
        },
    ),
}


def pytest_configure(config):
    for mark, (why, _) in MARKS.items():
        config.addinivalue_line("markers", f"{mark}: {why}")


def pytest_collection_modifyitems(items):
    for item in items:
        function = f"{item.path.name}::{getattr(item, 'originalname', None) or item.name}"
        for mark, (_, names) in MARKS.items():
            if item.path.name in names or function in names:
                item.add_marker(mark)


#: Seconds after which a test hangs, whatever it waits for. Those that build, and those of load, have deadlines of their own.
LONGEST = 600


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    def end(*_):
        raise AssertionError(f"{item.nodeid} has not ended within {LONGEST} s")

    if item.get_closest_marker("release_alone") is None:
        signal.signal(signal.SIGALRM, end)
        signal.alarm(LONGEST)
    try:
        return (yield)
    finally:
        signal.alarm(0)


#: What most tests run under: the routes of the demo handler.
ROUTES = [
    {"path": "/health", "methods": ["GET"], "public": True, "throttle": False},
    {"path": "/api/listings", "methods": ["GET"]},
    {"path": "/api/listings", "methods": ["POST"]},
    {"path": "/api/listings/{id}", "methods": ["GET"]},
    {"path": "/open", "methods": ["GET"], "public": True},
    {"path": "/files/{rest*}"},
    {"path": "/mcp", "mcp": True},
]


@pytest.fixture
def folder():
    """A folder with a short name: the path of a Unix socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg") as name:
        yield Path(name)


@pytest.fixture
def clocks() -> list:
    """A command that gives Redis and the daemons of a test their clocks; the machine's where there is none."""
    return []


@pytest.fixture
def redis(folder, clocks):
    server = RedisServer(folder, clocks)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upstream():
    handler = Upstream()
    yield handler
    handler.close()


@pytest.fixture
def ctl(redis):
    return Control(redis.url)


@pytest.fixture
def key(ctl, redis, clocks) -> str:
    """Of the organization acme; where the test has clocks of its own, by those."""
    return ctl.issue()["key"] if clocks else key_in(redis)


@pytest.fixture
def budget() -> str:
    """Of one question. Long, since a busy test machine is no outage of Redis; where outages are the subject it is short."""
    return "2s"


@pytest.fixture
def launch(request, folder, redis, budget, clocks):
    """Starts daemons with the settings of a test: `launch(upstream=…, policies=…)`."""
    # Before a daemon writes anything: where nothing is yet, the key is copied.
    if "key" in request.fixturenames:
        request.getfixturevalue("key")
    daemons: list[Daemon] = []

    def start(
        upstream: Upstream | str,
        *,
        wait: bool = True,
        ready: bool = True,
        arguments: list[str] | None = None,
        env: dict | None = None,
        inherit: list[socket.socket] | None = None,
        within: list[str] | None = None,
        redis_url: str | None = None,
        **settings,
    ) -> Daemon:
        url = upstream if isinstance(upstream, str) else upstream.url
        prefix = [*clocks, *(within or [])]
        # By clocks that go faster a budget is over sooner: as long as one may be.
        patience = "10s" if "--speed" in map(str, prefix) else budget
        merged = {
            "loops": 2,
            "upstream": {"url": url, **settings.pop("upstream_settings", {})},
            "redis": {"url": redis_url or redis.url, "timeout": patience, **settings.pop("redis_settings", {})},
            "routes": ROUTES,
            **settings,
        }
        if merged["routes"] is None:
            del merged["routes"]
        quotas = [policy["quota"] for policy in merged.get("policies", []) if "quota" in policy]
        if quotas:
            not_at_the_end_of(3600 if any(quota.endswith("/hour") for quota in quotas) else 86400, clock(redis))
        daemon = Daemon(folder / f"daemon{len(daemons)}", merged, arguments, env, inherit, prefix)
        daemons.append(daemon)
        daemon.start(wait=wait)
        if wait and ready:
            daemon.wait_until_ready()
        return daemon

    yield start
    failures = []
    for daemon in daemons:
        try:
            daemon.stop()
        except AssertionError as failure:
            failures.append(failure)
    assert not failures, failures


@pytest.fixture
def tollgate(launch, upstream):
    """One daemon in front of the recording upstream."""
    return launch(upstream)


@pytest.fixture
def demo(folder):
    """The demo handler as it ships."""
    file = folder / "demo.port"
    process = subprocess.Popen(
        [sys.executable, ROOT / "deploy/demo/handler.py", "--port", "0", "--port-file", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: file.exists() or process.poll() is not None, "the demo handler listening", 30)
    assert process.poll() is None
    yield f"http://127.0.0.1:{file.read_text().strip()}"
    process.terminate()
    process.wait()


@pytest.fixture
def stepwise():
    """Handlers of any line whose progress waits for whoever saw the last one."""
    script = ROOT / "Tests/EndToEnd/stepwise.py"
    with ExitStack() as running:
        yield lambda line: f"http://127.0.0.1:{running.enter_context(running_handler(line, script))}"


@pytest.fixture(scope="session")
def chromium():
    # Who doesn't look at the page needs no browser.
    from fixtures.browser import Browser

    with tempfile.TemporaryDirectory(prefix="tg", ignore_cleanup_errors=True) as name:
        browser = Browser(Path(name))
        yield browser
        browser.close()


@pytest.fixture
def may_be_gone() -> bool:
    """Whether the sidecar that a test looks at goes away, which the browser complains of."""
    return False


@pytest.fixture
def browser(chromium, may_be_gone):
    """It holds every page to what is promised: nothing is asked for elsewhere, and nothing is complained of."""
    chromium.look()
    yield chromium
    chromium.is_content(may_be_gone)


@pytest.fixture
def invented_page():
    from fixtures.invented_page import InventedPage

    sidecar = InventedPage()
    yield sidecar
    sidecar.close()
