# SPDX-License-Identifier: Apache-2.0
"""A handler that takes its time: a tool that works for long, and streams whose head comes with their first event."""

import contextlib
import subprocess
import threading
import time

import pytest
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, request_bytes, until

EVENTS = "text/event-stream"
BOTH = f"application/json, {EVENTS}"
TOOL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"climb","arguments":{}}}'
ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: \n\r\n"
LIMIT = "300ms"
#: Of LIMIT, so that nobody takes it for a race.
LONG = 1.0
PLENTY = [{"name": "org", "per": "org", "limit": "1000/1s"}]


class Slow:
    """A handler that answers when it is told to, and knows who has left meanwhile."""

    def __init__(self, upstream):
        self.answers = threading.Semaphore(0)
        self.answer = reply(ANSWER, fields={"Content-Type": "application/json"})
        self.left = 0
        upstream.behaviour = self.behave

    def behave(self, _, peer):
        peer.settimeout(0.02)
        while not self.answers.acquire(blocking=False):
            with contextlib.suppress(TimeoutError):
                if peer.recv(1) == b"":
                    self.left += 1
                    return None
        return self.answer

    def go_on(self, count: int = 1):
        self.answers.release(count)


@pytest.fixture
def slow(upstream):
    return Slow(upstream)


def asking(key: str, method: str, path: str, accept: str | None) -> bytes:
    fields = {"X-API-Key": key, **({"Accept": accept} if accept else {})}
    if method == "POST":
        return request_bytes("POST", path, {"Content-Type": "application/json", **fields}, TOOL)
    return request_bytes(method, path, fields)


@contextlib.contextmanager
def waiting(daemon, upstream, key, method: str = "GET", path: str = "/mcp", accept: str | None = EVENTS):
    """A request that is at the handler."""
    before = len(upstream.requests)
    with Connection(daemon.port) as connection:
        connection.send(asking(key, method, path, accept))
        upstream.wait_for(before + 1)
        yield connection


@pytest.mark.parametrize("method, path, accept", [("POST", "/mcp", BOTH), ("GET", "/mcp", EVENTS), ("GET", "/files/a", EVENTS)])
def test_what_accepts_events_may_take_longer(launch, upstream, slow, key, method, path, accept):
    daemon = launch(upstream, upstream_settings={"response_timeout": LIMIT})
    with waiting(daemon, upstream, key, method, path, accept) as connection:
        time.sleep(LONG)
        slow.go_on()
        answer = connection.response(method)
    assert (answer.status, answer.body) == (200, ANSWER)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("path", ["/mcp", "/files/a"])
def test_the_head_of_a_stream_may_come_with_its_first_event(launch, upstream, slow, key, path):
    daemon = launch(upstream, upstream_settings={"response_timeout": LIMIT})
    slow.answer = STREAM
    with waiting(daemon, upstream, key, "GET", path) as connection:
        time.sleep(LONG)
        slow.go_on()
        head = connection.head()
        assert (head.status, head["Content-Type"], connection.chunk()) == (200, EVENTS, b"data: \n")


@pytest.mark.parametrize(
    "method, path, accept",
    [
        ("POST", "/mcp", "application/json"),
        ("GET", "/mcp", None),
        ("GET", "/files/a", "*/*"),
        ("HEAD", "/files/a", EVENTS),
        # Where no stream is spoken of, anybody could hold connections by a field.
        ("POST", "/files/a", BOTH),
    ],
)
def test_everything_else_has_its_time(launch, upstream, slow, key, method, path, accept):
    daemon = launch(upstream, upstream_settings={"response_timeout": LIMIT})
    with waiting(daemon, upstream, key, method, path, accept) as connection:
        assert connection.response(method).status == 504
    until(lambda: slow.left == 1, "the handler being left")
    assert daemon.lines(1)[0]["reason"] == "upstream_timeout"


def test_a_route_has_a_time_of_its_own_for_all_its_requests(launch, upstream, slow, key):
    routes = [
        {"path": "/mcp", "mcp": True, "response_timeout": LIMIT},
        {"path": "/files/{rest*}", "response_timeout": "off"},
        {"path": "/{name}"},
    ]
    daemon = launch(upstream, routes=routes, upstream_settings={"response_timeout": LIMIT})
    for method, accept in (("POST", BOTH), ("GET", EVENTS)):
        with waiting(daemon, upstream, key, method, "/mcp", accept) as connection:
            assert connection.response(method).status == 504
    with waiting(daemon, upstream, key, "GET", "/other", None) as connection:
        assert connection.response().status == 504
    with waiting(daemon, upstream, key, "POST", "/files/a", None) as connection:
        time.sleep(LONG)
        slow.go_on()
        assert connection.response().status == 200


def test_off_is_for_all(launch, upstream, slow, key):
    daemon = launch(upstream, upstream_settings={"response_timeout": "off"})
    with waiting(daemon, upstream, key, "GET", "/files/a", None) as connection:
        time.sleep(LONG)
        slow.go_on()
        assert connection.response().status == 200


def test_who_waits_without_a_bound_leaves_its_place_to_others_and_has_its_share(launch, upstream, slow, ctl):
    first, second = (ctl.issue(name=name)["key"] for name in ("first", "second"))
    daemon = launch(
        upstream,
        loops=1,
        policies=PLENTY,
        upstream_settings={"response_timeout": "1s", "max_connections": 1, "connect_timeout": "4s"},
    )
    with waiting(daemon, upstream, first) as held, waiting(daemon, upstream, second, "POST", accept=BOTH) as called:
        # One connection is all there is, and two requests are at the handler.
        assert upstream.open == 2
        # A third of the same key waits for the first, in vain.
        refused = ask(daemon.port, "GET", "/files/a", first)
        assert (refused.status, refused["Retry-After"]) == (503, "1")
        assert daemon.lines(1)[0]["reason"] == "upstream_share"
        slow.go_on(2)
        assert (held.response().status, called.response().status) == (200, 200)
        slow.go_on()
        assert ask(daemon.port, "GET", "/files/a", first).status == 200


def test_who_waits_has_a_slot_of_the_open_streams(launch, upstream, slow, key):
    daemon = launch(
        upstream,
        policies=[*PLENTY, {"name": "open-streams", "concurrency": 1, "reject": "http"}],
        upstream_settings={"response_timeout": LIMIT},
    )
    with waiting(daemon, upstream, key) as held:
        time.sleep(LONG)
        assert ask(daemon.port, "GET", "/mcp", key, fields={"Accept": EVENTS}).status == 429
        slow.go_on()
        assert held.response().status == 200


@pytest.mark.parametrize("method, accept", [("GET", EVENTS), ("POST", BOTH)])
def test_a_key_that_is_revoked_ends_the_wait(launch, upstream, slow, ctl, method, accept):
    routes = [{"path": "/mcp", "mcp": True, "scopes": ["climb", "swim"]}]
    daemon = launch(upstream, routes=routes, policies=PLENTY, upstream_settings={"response_timeout": LIMIT})
    scopes = ("--scope", "climb", "--scope", "swim")
    issued, kept = ctl.issue("acme", "ended", *scopes), ctl.issue("kept", "kept", *scopes)["key"]
    with waiting(daemon, upstream, issued["key"], method, accept=accept) as ended:
        with waiting(daemon, upstream, kept, method, accept=accept) as staying:
            ended.socket.settimeout(60)
            ctl.revoke(issued["id"])
            answer = ended.response(method)
            assert (answer.status, answer.json()["error"]["message"]) == (401, "Invalid or inactive API key")
            challenge = 'Bearer realm="tollgate", error="invalid_token", scope="climb swim"'
            assert answer["WWW-Authenticate"] == challenge
            until(lambda: slow.left == 1, "the handler being left")
            assert daemon.lines(1)[0]["reason"] == "key_ended"
            slow.go_on()
            assert staying.response(method).status == 200


@pytest.mark.parametrize("method, accept", [("GET", EVENTS), ("POST", BOTH)])
def test_a_client_that_leaves_ends_the_wait(launch, upstream, slow, key, method, accept):
    daemon = launch(upstream, upstream_settings={"response_timeout": LIMIT})
    with waiting(daemon, upstream, key, method, accept=accept):
        time.sleep(LONG)
        assert slow.left == 0
    until(lambda: slow.left == 1, "the handler being left")
    assert daemon.lines(1)[0]["reason"] == "client_closed"


def test_the_handler_is_asked_whether_it_is_still_there(launch, upstream, slow, key):
    daemon = launch(upstream)

    def timers() -> str:
        """Of the sidecar's end of the connection, as the kernel has them."""
        command = ["ss", "-tnoH", "state", "established", "dport", "=", f":{upstream.port}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with waiting(daemon, upstream, key) as connection:
        until(lambda: "timer:(keepalive," in timers(), "the timer")
        slow.go_on()
        assert connection.response().status == 200
