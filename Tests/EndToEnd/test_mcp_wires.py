# SPDX-License-Identifier: Apache-2.0
"""Every wire of MCP, spoken by the official SDK on both sides, old and new, through the sidecar with a key.

HTTP+SSE of 2024-11-05; streamable HTTP with sessions and without, answered by JSON and by streams, with requests and
notifications from the handler, with resumption; 2026-07-28. The handler is `every_wire.py`, the client `clients/wires.py`.
"""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from fixtures.clients import CLIENTS, python, running_handler
from fixtures.cutting_relay import CuttingRelay
from fixtures.programs import Daemon
from fixtures.redis_server import RedisServer
from fixtures.shared import folder, key, redis
from fixtures.wire import ask

HERE = Path(__file__).parent
LINES = [0, 1, 2]
JSON, STREAM = "application/json", "text/event-stream"
PATHS = ["/old", "/sessions", "/json", "/events", "/stateless", "/stateless-json", "/mounted"]
CALLS = [["add", {"a": 19, "b": 23}], ["größe", {"of": "abc"}]]


def protocol(client: int, handler: int) -> str:
    """The newest that both know, with `initialize`."""
    return "2025-06-18" if 0 in (client, handler) else "2025-11-25"


def serve(url: str, folder: Path, redis: RedisServer, **settings) -> Daemon:
    daemon = Daemon(
        folder,
        {
            "loops": 2,
            "upstream": {"url": url},
            "redis": {"url": redis.url, "timeout": "2s"},
            "routes": [{"path": path, "mcp": True} for path in PATHS],
            "policies": [
                {"name": "org", "per": "org", "limit": "10000/1s"},
                {"name": "handshake", "limit": "10000/1s"},
            ],
            **settings,
        },
    ).start()
    daemon.wait_until_ready()
    return daemon


# Everything is shared by the tests of this module: they are many and short.
@pytest.fixture(scope="module")
def handlers():
    """The handler of each line: where it is, by line."""
    with ExitStack() as running:
        yield [f"http://127.0.0.1:{running.enter_context(running_handler(line, HERE / 'every_wire.py'))}" for line in LINES]


@pytest.fixture(scope="module")
def daemons(folder, redis, handlers):
    """A sidecar for each handler."""
    running = [serve(url, folder / f"daemon{line}", redis) for line, url in enumerate(handlers)]
    yield running
    for daemon in running:
        daemon.stop()


class Player:
    """A client of one line, which plays scenes one after another."""

    def __init__(self, line: int, key: str):
        self.process = subprocess.Popen(
            [python(line), CLIENTS / "wires.py"],
            env={**os.environ, "TOLLGATE_KEY": key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.played = 0

    def begin(self, scene: str, **given):
        self.played += 1
        self.process.stdin.write(json.dumps({"scene": scene, **given}) + "\n")
        self.process.stdin.flush()

    def said(self):
        said = json.loads(self.process.stdout.readline())
        assert "failed" not in said, said["failed"]
        return said

    def __call__(self, scene: str, **given) -> dict:
        self.begin(scene, **given)
        return self.said()

    def converse(self, url: str, handler: str, **given) -> dict:
        """A run of its own each: what releases the steps of one doesn't release those of another."""
        return self("converse", url=url, handler=handler, run=f"{id(self)}-{self.played}", **given)

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def players(key):
    playing = [Player(line, key) for line in LINES]
    yield playing
    for player in playing:
        player.close()


@pytest.fixture
def relay():
    """Somebody on the way who may cut a connection."""
    between = CuttingRelay()
    yield between
    between.close()


def url(daemon: Daemon, path: str) -> str:
    return f"http://127.0.0.1:{daemon.port}{path}"


def port(handler: str) -> int:
    return int(handler.rpartition(":")[2])


def answers(said: dict) -> list[tuple[str, int, str]]:
    return sorted(tuple(answer) for answer in said["answers"])


def exchange(*, calls: int, answer: str, stateful: bool = False, consulted: int = 0) -> list[tuple[str, int, str]]:
    """All that goes over streamable HTTP before 2026-07-28, and how each is answered."""
    session = [("GET", 200, STREAM), ("DELETE", 200, JSON)] if stateful else []
    return sorted(
        [("initialize", 200, answer), ("notifications/initialized", 202, JSON), ("tools/list", 200, answer)]
        + [("tools/call", 200, answer)] * calls
        + [("an answer", 202, JSON)] * consulted
        + session
    )


pairs = pytest.mark.parametrize("client, handler", [(client, handler) for client in LINES for handler in LINES])
few = pytest.mark.parametrize("client, handler", [(0, 0), (1, 1), (2, 2), (0, 2), (2, 0)])


@few
def test_http_and_sse_of_2024(daemons, handlers, players, client, handler):
    """All that the handler says comes on the one stream that the caller opened; its first event names where to answer."""
    said = players[client].converse(
        url(daemons[handler], "/old"),
        handlers[handler],
        old=True,
        calls=CALLS,
        steps=3,
        consult=[False],
        announce=True,
    )
    assert said["protocol"] == protocol(client, handler)
    assert (said["tools"], said["called"]) == (6, ["42", "3"])
    assert (said["seen"], said["climbed"]) == ([1, 2, 3], "climbed 3")
    assert said["consulted"] == ["Here? Yes."]
    assert said["heard"] == ["notifications/resources/list_changed"]
    accepted = ["initialize", "notifications/initialized", "tools/list", *["tools/call"] * 5, "an answer"]
    assert answers(said) == sorted([("GET", 200, STREAM), *((name, 202, "") for name in accepted)])
    assert said["session"] is None


@pairs
def test_a_session_answered_by_streams(daemons, handlers, players, client, handler):
    """The handler asks the caller back on the stream of the call and on the one apart from it."""
    said = players[client].converse(
        url(daemons[handler], "/sessions"),
        handlers[handler],
        calls=CALLS,
        steps=3,
        apart=True,
        consult=[True, False],
        announce=True,
    )
    assert said["protocol"] == protocol(client, handler)
    assert (said["tools"], said["called"]) == (6, ["42", "3"])
    assert (said["seen"], said["climbed"]) == ([1, 2, 3], "climbed 3")
    assert said["consulted"] == ["Apart? Yes.", "Here? Yes."]
    assert said["heard"] == ["notifications/resources/list_changed"]
    assert answers(said) == exchange(calls=6, answer=STREAM, stateful=True, consulted=2)


@few
def test_a_session_answered_by_json(daemons, handlers, players, key, client, handler):
    """What the handler asks comes on the stream apart, while the call waits for its one answer. DELETE ends it all."""
    said = players[client].converse(
        url(daemons[handler], "/json"), handlers[handler], calls=CALLS, apart=True, consult=[True], announce=True
    )
    assert said["protocol"] == protocol(client, handler)
    assert (said["tools"], said["called"]) == (6, ["42", "3"])
    assert said["consulted"] == ["Apart? Yes."]
    assert said["heard"] == ["notifications/resources/list_changed"]
    assert answers(said) == exchange(calls=4, answer=JSON, stateful=True, consulted=1)
    fields = {
        "Accept": f"{JSON}, {STREAM}",
        "Content-Type": JSON,
        "Mcp-Session-Id": said["session"],
        "MCP-Protocol-Version": said["protocol"],
    }
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    assert ask(daemons[handler].port, "POST", "/json", key, fields=fields, body=ping).status == 404


@few
@pytest.mark.parametrize("path, answer", [("/stateless", STREAM), ("/stateless-json", JSON)])
def test_no_session(daemons, handlers, players, client, handler, path, answer):
    steps = {"steps": 3} if answer == STREAM else {}
    said = players[client].converse(url(daemons[handler], path), handlers[handler], calls=CALLS, **steps)
    assert said["protocol"] == protocol(client, handler)
    assert (said["tools"], said["called"]) == (6, ["42", "3"])
    assert (said["seen"], said.get("climbed")) == (([1, 2, 3], "climbed 3") if steps else ([], None))
    assert answers(said) == exchange(calls=3 if steps else 2, answer=answer)
    assert said["session"] is None


@pytest.mark.parametrize(
    "path, streams", [("/sessions", True), ("/stateless", True), ("/json", False), ("/stateless-json", False)]
)
def test_2026(daemons, handlers, players, path, streams):
    """One message, one request; an answer is a stream where something comes before it. `größe` is told in Mcp-Name."""
    steps = {"steps": 3} if streams else {}
    said = players[2].converse(url(daemons[2], path), handlers[2], mode="2026-07-28", calls=CALLS, **steps)
    assert said["protocol"] == "2026-07-28"
    assert (said["tools"], said["called"]) == (6, ["42", "3"])
    assert (said["seen"], said.get("climbed")) == (([1, 2, 3], "climbed 3") if steps else ([], None))
    called = [("tools/call", 200, JSON)] * 2 + [("tools/call", 200, STREAM)] * bool(steps)
    assert answers(said) == sorted([("tools/list", 200, JSON), *called])
    assert said["session"] is None


LISTENING = [("subscriptions/listen", 200, STREAM)] * 2 + [("tools/call", 200, JSON)] * 2 + [("tools/list", 200, JSON)]


def test_2026_subscriptions(daemons, players):
    said = players[2]("listen", url=url(daemons[2], "/sessions"))
    assert said["events"] == ["ToolsListChanged", "ToolsListChanged", "memo://a"]
    assert answers(said) == LISTENING


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "closed"])
def test_2026_subscriptions_that_the_handler_drops_are_lost_and_not_ended(
    folder, redis, handlers, players, relay, resets
):
    relay.target = port(handlers[2])
    daemon = serve(relay.url, folder / f"dropped-{resets}", redis)
    try:
        players[2].begin("listen", url=url(daemon, "/sessions"), lost=True)
        assert players[2].said() == "listening"
        relay.cut_all(resets)
        said = players[2].said()
        assert said["ended"] == ["SubscriptionLost", "SubscriptionLost"]
        assert answers(said) == LISTENING
    finally:
        daemon.stop()


@pytest.mark.parametrize(
    "client, handler, where, resets",
    [
        (1, 1, "before", True),
        (1, 1, "behind", False),
        (1, 2, "behind", True),
        (2, 1, "before", False),
        (2, 2, "before", True),
        (2, 2, "behind", True),
        (2, 2, "behind", False),
    ],
)
def test_a_stream_that_is_cut_goes_on_where_it_was(
    folder, redis, daemons, handlers, players, relay, client, handler, where, resets
):
    """Cut in the middle of the third event, on either side of the sidecar: the client comes back with Last-Event-ID."""
    if where == "before":
        relay.target, daemon, place = daemons[handler].port, None, f"{relay.url}/events"
    else:
        relay.target = port(handlers[handler])
        daemon = serve(relay.url, folder / f"cut-{client}-{handler}-{resets}", redis)
        place = url(daemon, "/events")
    try:
        relay.cut(b'"progress":3', resets)
        said = players[client].converse(place, handlers[handler], steps=5)
    finally:
        if daemon:
            daemon.stop()
    assert relay.cuts == 1
    # Nothing is lost and nothing comes twice.
    assert (said["seen"], said["climbed"]) == ([1, 2, 3, 4, 5], "climbed 5")
    assert said["resumed"] == 1
    assert answers(said) == sorted([*exchange(calls=1, answer=STREAM, stateful=True), ("GET", 200, STREAM)])


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("handler", LINES)
def test_a_1_17_client_resumes_in_a_connection_of_its_own(daemons, handlers, players, relay, handler, resets):
    relay.target = daemons[handler].port
    relay.cut(b'"progress":3', resets)
    said = players[0]("resume", url=f"{relay.url}/events", handler=handlers[handler], run=f"resume-{resets}", steps=5)
    assert relay.cuts == 1
    assert (said["before"], said["seen"], said["climbed"]) == (2, [1, 2, 3, 4, 5], "climbed 5")


@pytest.mark.parametrize("handler", LINES)
def test_what_a_handler_says_of_a_batch_is_what_the_caller_gets(daemons, handlers, key, handler):
    """No line of the SDK takes batches, which 2025-03-26 has; `EventStreamTests` has a handler that does."""
    body = b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/cancelled"}]'
    fields = {"Accept": f"{JSON}, {STREAM}", "Content-Type": JSON, "MCP-Protocol-Version": "2025-03-26"}
    own = {**fields, "Host": handlers[handler].removeprefix("http://")}
    direct = ask(port(handlers[handler]), "POST", "/stateless", fields=own, body=body)
    through = ask(daemons[handler].port, "POST", "/stateless", key, fields=fields, body=body)
    assert (through.status, through.body) == (direct.status, direct.body)
    assert direct.status == 400
    assert through["Content-Type"] == direct["Content-Type"] == JSON
