# SPDX-License-Identifier: Apache-2.0
"""A plugin of pytest that puts a sidecar in front of every server that a test of an SDK starts, and keeps the results.

Runs where the SDK's own tests run, in their environment. By TOLLGATE_SDK_MODE:

direct   as the SDK runs them; only the results are kept
real     with a bridge: in front of uvicorn instead of the bridge in the process, without a sidecar, to tell the two apart
through  with a sidecar in front of each server, and a key on each request

By TOLLGATE_SDK_BRIDGES: the modules whose name for the bridge between client and server in the process is replaced by the one
in `sockets_bridge.py`. Without it (1.x) servers start in processes, and a fixture says on which port: the sidecar listens
there, and the server is moved.
"""

import importlib
import json
import multiprocessing
import os
import shutil
import tempfile
import threading
from pathlib import Path

import pytest
from fixtures.ports import free_port
from fixtures.programs import Control, Daemon
from fixtures.redis_server import RedisServer

#: Tests that ask for the handler's own answer to a foreign Host; by default it is sent the handler's.
PRESERVE = ("_security.py", "protection", "rebinding", "hosting_http.py")
#: The servers' own OAuth, which some have, is found below /.well-known, where nothing is known that isn't listed.
ROUTES = [
    {"path": "/{rest*}"},
    {"path": "/.well-known/{rest*}", "public": True},
    {"path": "/mcp", "mcp": True},
    {"path": "/sse", "mcp": True},
]


class Sidecars:
    """The sidecars of one run, with one Redis, one key, and what went through each."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="tg"))
        self.redis = RedisServer(self.folder)
        self.redis.start()
        # What is kept here nobody wants to have kept, and a disk that stalls is no outage of Redis.
        self.redis("CONFIG", "SET", "appendonly", "no")
        self.key = Control(self.redis.url).issue()["key"]
        self.lock = threading.Lock()
        self.started = 0
        self.requests: dict[str, int] = {}
        self.refused: dict[str, list[dict]] = {}
        self.running: set[Daemon] = set()
        #: What the test now running has started.
        self.test = ""

    def start(self, upstream: int, listen: int = 0) -> Daemon:
        with self.lock:
            self.started += 1
            folder = self.folder / str(self.started)
        preserves = any(part in self.test for part in PRESERVE)
        daemon = Daemon(
            folder,
            {
                "listen": f"127.0.0.1:{listen}",
                "loops": 1,
                "upstream": {"url": f"http://127.0.0.1:{upstream}", "host": "preserve" if preserves else "upstream"},
                "redis": {"url": self.redis.url, "timeout": "2s"},
                "routes": ROUTES,
                "policies": [
                    {"name": "org", "per": "org", "limit": "1000000/1s"},
                    # Of one key, as all tests have, only so many sessions a minute are expected.
                    {"name": "handshake", "limit": "1000000/1s"},
                    {"name": "open-streams", "concurrency": 1000000},
                ],
                # The SDK's tests send bodies of up to 4 MiB and a little more.
                "limits": {"body_bytes": "64MiB"},
            },
        )
        daemon.test = self.test
        self.running.add(daemon)
        self.requests.setdefault(self.test, 0)
        daemon.start()
        daemon.wait_until_ready()
        return daemon

    def stop(self, daemon: Daemon):
        daemon.stop()
        self.running.discard(daemon)
        lines = daemon.lines()
        with self.lock:
            self.requests[daemon.test] += sum(line.get("event") != "begin" for line in lines)
            self.refused.setdefault(daemon.test, []).extend(line for line in lines if line.get("decision") != "allow")
        shutil.rmtree(daemon.folder)

    def close(self):
        # None, unless the run was interrupted.
        for daemon in self.running:
            daemon.process.kill()
            daemon.process.wait()
        self.redis.stop()
        shutil.rmtree(self.folder)


class Plugin:
    def __init__(self, mode: str):
        self.mode = mode
        self.results: dict[str, dict] = {}
        self.sidecars = Sidecars() if mode == "through" else None
        #: The modules that know the bridge.
        self.bridges = os.environ["TOLLGATE_SDK_BRIDGES"].split()
        #: Whether the tests are those of 1.x, whose servers have ports.
        self.moves = mode == "through" and not self.bridges
        #: The ports that tests know, and where the servers went that were to listen there.
        self.moved: dict[int, int] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        if self.sidecars:
            self.sidecars.test = item.nodeid
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        """1.x: a port that a fixture gives is the sidecar's from now on."""
        outcome = yield
        if not self.moves or not fixturedef.argname.endswith("_port") or outcome.excinfo:
            return
        port = outcome.get_result()
        self.moved[port] = free_port()
        daemon = self.sidecars.start(self.moved[port], listen=port)
        fixturedef.addfinalizer(lambda: self.sidecars.stop(daemon))

    def pytest_runtest_logreport(self, report):
        result = self.results.setdefault(report.nodeid, {"outcome": "passed", "why": ""})
        if report.outcome != "passed" and result["outcome"] == "passed":
            result["outcome"] = report.outcome
            result["why"] = reason(report)

    def pytest_collectreport(self, report):
        if report.failed:
            self.results[report.nodeid] = {"outcome": "failed", "why": reason(report)}

    def pytest_sessionfinish(self, session):
        if self.sidecars:
            self.sidecars.close()
            for test, count in self.sidecars.requests.items():
                self.results[test]["requests"] = count
                self.results[test]["refused"] = self.sidecars.refused[test]
        Path(os.environ["TOLLGATE_SDK_RESULTS"]).write_text(json.dumps(self.results, indent=1))


def reason(report) -> str:
    """The line that says what went wrong."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).strip().partition("\n")[0]


def bring_the_key(plugin: Plugin):
    """Whichever library of clients a test uses, its requests to a sidecar carry the key."""

    def with_key(port, fields):
        if port in plugin.moved:
            fields["X-API-Key"] = plugin.sidecars.key

    for library, name, method in (
        ("httpx", "AsyncHTTPTransport", "handle_async_request"),
        ("httpx", "HTTPTransport", "handle_request"),
    ):
        transport = getattr(importlib.import_module(library), name)
        original = getattr(transport, method)

        def handle(self, request, original=original):
            with_key(request.url.port, request.headers)
            return original(self, request)

        setattr(transport, method, handle)

    from requests.adapters import HTTPAdapter
    from urllib3.util import parse_url

    send = HTTPAdapter.send

    def send_with_key(self, request, *arguments, **options):
        with_key(parse_url(request.url).port, request.headers)
        return send(self, request, *arguments, **options)

    HTTPAdapter.send = send_with_key


def move_servers(plugin: Plugin):
    """A server that is to listen on a sidecar's port listens elsewhere, and is waited for there."""
    import uvicorn

    # The processes that servers run in have to know where they were moved.
    multiprocessing.set_start_method("fork")
    configure = uvicorn.Config.__init__

    def elsewhere(self, *arguments, port=8000, **options):
        configure(self, *arguments, port=plugin.moved.get(port, port), **options)

    uvicorn.Config.__init__ = elsewhere
    help = importlib.import_module("tests.test_helpers")
    wait = help.wait_for_server
    help.wait_for_server = lambda port, *arguments, **options: wait(plugin.moved.get(port, port), *arguments, **options)


def replace_bridge(plugin: Plugin):
    """Before any module of tests imports it."""
    from sockets_bridge import SocketsBridge

    SocketsBridge.sidecars = plugin.sidecars
    for module in map(importlib.import_module, plugin.bridges):
        SocketsBridge.in_process = module.StreamingASGITransport
        module.StreamingASGITransport = SocketsBridge


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    """Before the first conftest.py, which may import what is replaced here."""
    mode = os.environ["TOLLGATE_SDK_MODE"]
    plugin = Plugin(mode)
    early_config.pluginmanager.register(plugin, "tollgate")
    if plugin.moves:
        move_servers(plugin)
        bring_the_key(plugin)
    elif mode != "direct" and plugin.bridges:
        replace_bridge(plugin)
