# SPDX-License-Identifier: Apache-2.0
"""What messages on an MCP route cost, and how they are refused, where Redis counts them or a socket carries them.

The rest are rows of `Message…Tests`, `ListedToolsTests` and `BrowserGuardTests` in `Tests/ProxyTests`.
"""

import contextlib
import json
import threading
import time

import pytest
from fixtures.upstream import reply
from fixtures.wire import PROCESS, Connection, ask, until

HOUR = {"name": "org", "per": "org", "limit": "20/1h"}
MODERN = {"MCP-Protocol-Version": "2026-07-28"}


def message(method: str, id=1, **params) -> dict:
    text = {"jsonrpc": "2.0", "method": method}
    if id is not None:
        text["id"] = id
    if params:
        text["params"] = params
    return text


def call(tool: str, id=1) -> dict:
    return message("tools/call", id, name=tool, arguments={})


def post(port: int, key: str | None, body, fields: dict | None = None, path: str = "/mcp"):
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Connection(port) as connection:
        return connection.request(
            "POST",
            path,
            {"Content-Type": "application/json", **({"X-API-Key": key} if key else {}), **(fields or {})},
            octets,
        )


def remaining(answer) -> dict[str, int]:
    """What is left by each policy, as RateLimit has it."""
    return {
        item.split(";")[0].strip().strip('"'): int(item.split("r=")[1].split(";")[0])
        for item in answer["RateLimit"].split(",")
    }


# What is charged


@pytest.mark.parametrize(
    "body,cost",
    [
        ([message("tools/list"), call("a"), message("notifications/x", id=None)], 2),
        (message("notifications/initialized", id=None), 0),
    ],
    ids=["two calls", "a notice"],
)
def test_what_a_message_costs(launch, upstream, key, body, cost):
    daemon = launch(upstream, policies=[HOUR])
    answer = post(daemon.port, key, body)
    assert answer.status == 200
    assert remaining(answer)["org"] == 20 - cost
    # The handler has it, octet for octet.
    assert upstream.last.body == (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_the_end_of_a_session_is_free(launch, upstream, key):
    upstream.behaviour = opens_sessions
    daemon = launch(upstream, policies=[{**HOUR, "limit": "2/1h"}])
    with_session = {"Mcp-Session-Id": post(daemon.port, key, message("initialize"))["Mcp-Session-Id"]}
    # One that ends none is a call, at and below the path.
    assert remaining(ask(daemon.port, "DELETE", "/mcp", key))["org"] == 1
    assert remaining(ask(daemon.port, "DELETE", "/mcp/items/5", key))["org"] == 0
    seen = len(upstream.requests)
    assert ask(daemon.port, "DELETE", "/mcp/items/5", key).status == 429
    assert len(upstream.requests) == seen
    # Who has nothing left can still end what it opened.
    assert ask(daemon.port, "DELETE", "/mcp", key, fields=with_session).status == 204
    assert ask(daemon.port, "DELETE", "/mcp", key, fields=with_session).status == 404


def left(daemon, key: str) -> dict[str, int]:
    """Where a caller stands; asking costs one by each policy."""
    return remaining(ask(daemon.port, "GET", "/mcp", key))


@pytest.mark.parametrize(
    "answer,cost",
    [(reply(b"{}", fields={"Content-Type": "application/json"}), 2), (reply(b"", "405 Method Not Allowed"), 0)],
    ids=["JSON", "405"],
)
def test_who_asks_for_a_stream_and_gets_something_else_has_made_a_call(launch, upstream, key, answer, cost):
    policies = [{**HOUR, "cost": 2}, {"name": "month", "per": "key", "quota": "20/month", "cost": 2}]
    daemon = launch(upstream, loops=1, routes=[{"path": "/mcp", "mcp": True}], policies=policies)
    upstream.behaviour = lambda *_: answer
    for path in ("/mcp", "/mcp/things/1"):
        told = ask(daemon.port, "GET", path, key, fields={"Accept": "application/json, text/event-stream"})
        assert told.status == int(answer.split()[1])
    upstream.behaviour = lambda *_: reply(b"ok")
    # Nobody waits for the charge, but the next question stands behind it.
    assert left(daemon, key) == {"org": 18 - 2 * cost, "month": 18 - 2 * cost}


FOR_EVENTS = {"Accept": "text/event-stream"}


def opens_streams(path: str, other: bytes = reply(b"{}", fields={"Content-Type": "application/json"})):
    """A handler with event streams at one path alone."""
    stream = reply(b"data: 1\n\n", fields={"Content-Type": "text/event-stream"})
    return lambda request, _: stream if request.target == path else other


@pytest.mark.parametrize("anonymous", [False, True], ids=["key", "address"])
def test_who_has_nothing_left_gets_nothing_for_a_stream(launch, upstream, key, anonymous):
    policy = {"name": "five", "per": "address" if anonymous else "org", "limit": "5/1h"}
    route = {"path": "/mcp", "mcp": True, "public": anonymous}
    daemon = launch(upstream, loops=1, routes=[route], policies=[policy])
    upstream.behaviour = opens_streams("/mcp")
    caller = None if anonymous else key
    with Connection(daemon.port) as connection:
        fields = FOR_EVENTS | ({} if anonymous else {"X-API-Key": key})
        statuses = [connection.request("GET", "/mcp/items/5", fields).status for _ in range(30)]
    assert statuses == [200] * 5 + [429] * 25
    assert len(upstream.requests) == 5
    # A real stream beside it is no way around.
    assert ask(daemon.port, "GET", "/mcp", caller, fields=FOR_EVENTS).status == 429


def test_a_stream_after_all_is_free_again(launch, upstream, key):
    daemon = launch(upstream, loops=1, routes=[{"path": "/mcp", "mcp": True}], policies=[HOUR, OPEN])
    upstream.behaviour = opens_streams("/mcp", reply(b"", "405 Method Not Allowed"))
    other = reply(b"{}", fields={"Content-Type": "application/json"})

    def org(path: str) -> int:
        return remaining(ask(daemon.port, "GET", path, key, fields=FOR_EVENTS))["org"]

    assert org("/mcp/none") == 20
    upstream.behaviour = opens_streams("/mcp", other)
    assert org("/mcp/none") == 20
    # The first is charged by now, and the next is priced: one each. An answer that says nothing of streams changes nothing.
    assert org("/mcp/none") == 18
    upstream.behaviour = opens_streams("/mcp", reply(b"", "405 Method Not Allowed"))
    assert [org("/mcp/none"), org("/mcp"), org("/mcp"), org("/mcp/none")] == [17, 16, 16, 16]


def test_usage_has_what_a_stream_that_was_none_costs(launch, upstream, key, ctl):
    daemon = launch(upstream, loops=1, routes=[{"path": "/mcp", "mcp": True}], policies=[{**HOUR, "cost": 2}])
    ask(daemon.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream"})
    until(lambda: json.loads(ctl("usage", "acme", "--json"))["total"]["cost"] == 2, "the cost", pause=PROCESS)


# Streams that are open


OPEN = {"name": "open-streams", "concurrency": 2}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"


@pytest.fixture
def streaming(upstream):
    """A handler whose streams end when their clients leave."""

    def serve(request, peer):
        if request.method == "POST" and b"subscriptions" not in request.body:
            return reply(b"{}", fields={"Content-Type": "application/json"})
        peer.sendall(STREAM)
        while peer.recv(4096):
            pass
        return None

    upstream.behaviour = serve
    return upstream


def open_stream(daemon, key: str | None, body: dict | None = None) -> Connection:
    connection = Connection(daemon.port)
    octets = json.dumps(body).encode() if body else b""
    fields = ["Host: a", "Accept: text/event-stream", *([f"X-API-Key: {key}"] if key else [])]
    if body:
        fields += ["Content-Type: application/json", f"Content-Length: {len(octets)}", "MCP-Protocol-Version: 2026-07-28"]
    head = "\r\n".join([("POST" if body else "GET") + " /mcp HTTP/1.1", *fields])
    connection.send(head.encode() + b"\r\n\r\n" + octets)
    connection.answer = connection.head()
    return connection


LISTEN = message("subscriptions/listen")


def test_a_key_has_so_many_streams_open(launch, streaming, key, ctl):
    bodies = (None, LISTEN, None)
    daemon = launch(streaming, routes=[{"path": "/mcp", "mcp": True}], policies=[HOUR, OPEN])
    streams = [open_stream(daemon, key, body) for body in bodies[:2]]
    assert [stream.answer.status for stream in streams] == [200, 200]
    assert [remaining(stream.answer)["open-streams"] for stream in streams] == [1, 0]
    refused = open_stream(daemon, key, bodies[2])
    assert refused.answer.status == 429
    assert refused.answer["RateLimit-Policy"].endswith('"open-streams";q=2;qu="concurrent-requests"')
    # Another key has its own, and calls take none.
    other = ctl.issue("acme", "desktop")["key"]
    assert open_stream(daemon, other).answer.status == 200
    for body in (call("a"), message("tools/list"), message("notifications/x", id=None), message("initialize")):
        answer = post(daemon.port, key, body)
        assert (answer.status, "open-streams" in answer["RateLimit-Policy"]) == (200, False)
    streams[0].close()
    until(lambda: open_stream(daemon, key, bodies[0]).answer.status == 200, "its place")


def test_open_streams_end_at_a_hundred_unless_told(launch, streaming, key):
    daemon = launch(streaming, loops=1, routes=[{"path": "/mcp", "mcp": True}, {"path": "/files"}], policies=[HOUR])
    streams = [open_stream(daemon, key) for _ in range(101)]
    assert [stream.answer.status for stream in streams] == [200] * 100 + [429]
    # A stream elsewhere is a call, and asked about by what was configured alone.
    with Connection(daemon.port) as connection:
        connection.send(f"GET /files HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nAccept: text/event-stream\r\n\r\n".encode())
        assert remaining(connection.head()) == {"org": 19}


# Matching


CONTENT = [
    {"name": "search", "per": "key", "limit": "10/1h", "cost": {"search": 5, "free": 0}, "match": {"tools": ["search", "db_*", "free"]}},
    {"name": "prompts", "per": "key", "limit": "10/1h", "match": {"prompts": ["review_?"]}},
    {"name": "files", "per": "key", "limit": "10/1h", "match": {"resources": ["file:///*"]}},
    {"name": "lists", "per": "key", "limit": "10/1h", "match": {"mcp_methods": ["*/list"]}},
]


def test_a_batch_is_decided_whole(launch, upstream, key):
    daemon = launch(upstream, policies=CONTENT, routes=[{"path": "/mcp", "mcp": True}])
    assert remaining(post(daemon.port, key, call("search"))) == {"search": 5}
    refused = post(daemon.port, key, [call("search", "a"), message("notifications/x", id=None), message("tools/list", 2), call("db_a", 3)])
    assert refused.status == 200
    assert [(each["id"], "result" in each) for each in refused.json()] == [("a", True), (2, False), (3, True)]
    assert len(upstream.requests) == 1
    assert remaining(post(daemon.port, key, call("search"))) == {"search": 0}


# Ambiguity


def test_what_may_be_read_otherwise_is_refused(launch, upstream, key):
    daemon = launch(upstream, policies=[HOUR])
    answer = post(daemon.port, key, b'{"method":"ping","id":1,"method":"tools/call"}')
    assert (answer.status, answer["Content-Type"]) == (400, "application/json")
    error = answer.json()["error"]
    assert (answer.json()["id"], error["code"]) == (None, -32700)
    assert error["message"] == "Malformed MCP message: member 'method' given twice" == error["data"]["detail"]
    assert upstream.requests == []
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 19}


# The body


def test_a_body_arrives_as_it_was_sent(launch, upstream, key):
    daemon = launch(upstream, policies=[HOUR])
    body = json.dumps(call("a") | {"padding": "x" * 300_000}).encode()
    with Connection(daemon.port) as connection:
        connection.send(
            b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for start in range(0, len(body), 7001):
            piece = body[start : start + 7001]
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\nX-Trailer: t\r\n\r\n")
        assert connection.response().status == 200
    assert upstream.last.body == body
    assert upstream.last.get("Content-Length") is None


def test_a_flood_of_bodies_is_bounded(launch, upstream, key):
    """4 bodies of 4 MiB that don't end are all that a key may have; who leaves makes room."""
    daemon = launch(upstream, loops=1, policies=[HOUR])
    head = b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nContent-Length: 4194304\r\n\r\n"
    held = []

    def fill(connection):
        connection.send(head + b'{"a":"' + b"x" * (4194304 - 100))

    for _ in range(24):
        connection = Connection(daemon.port)
        held.append(connection)
        try:
            fill(connection)
        except OSError:
            pass
    refused = until(
        lambda: len(told := [connection for connection in held if connection.is_readable()]) >= 20 and told, "the refusals"
    )
    for connection in refused:
        with contextlib.suppress(ConnectionError):
            assert b" 503 " in connection.more()
    # As much as the key may have is still under way.
    assert len(refused) < 24
    assert daemon.resident() < 250 << 20
    for connection in held:
        connection.close()
    until(lambda: post(daemon.port, key, call("a")).status == 200, "room again")


# Refusals


EMPTY = [{"name": "org", "per": "org", "limit": "1/1h"}]


@pytest.mark.parametrize(
    "body,fields,status,shape",
    [
        (call("a", "x"), {}, 200, {"id": "x", "result": True}),
        (call("a", 3), MODERN, 429, {"id": 3, "result": False}),
    ],
    ids=["by a result", "by the status"],
)
def test_a_denial_is_told_as_the_client_survives_it(launch, upstream, key, body, fields, status, shape):
    daemon = launch(upstream, policies=EMPTY)
    assert post(daemon.port, key, call("a")).status == 200
    answer = post(daemon.port, key, body, fields)
    assert (answer.status, answer["Content-Type"]) == (status, "application/json")
    assert answer.limits() == (1, 0)
    assert int(answer["Retry-After"]) in range(3540, 3601)
    told = answer.json()
    assert told["jsonrpc"] == "2.0"
    assert {"id": told["id"], "result": "result" in told} == shape
    words = f"Rate limit exceeded: retry in {answer['Retry-After']} s"
    if shape["result"]:
        assert told["result"] == {"content": [{"type": "text", "text": words}], "isError": True}
    else:
        assert (told["error"]["code"], told["error"]["message"]) == (42900, words)
        data = told["error"]["data"]
        assert (data["status"], data["detail"], data["violated-policies"]) == (429, "Rate limit exceeded", ["org"])
        assert data["retryAfter"] == int(answer["Retry-After"])
        assert data["correlation_id"] == answer["X-Correlation-ID"]
    assert len(upstream.requests) == 1
    [line] = [line for line in daemon.lines(2) if line["decision"] == "deny"]
    # The status meant.
    assert (line["status"], line["policy"], line["reason"]) == (429, "org", "rate_limited")


def test_without_redis_a_known_key_is_told_in_band(launch, upstream, redis, key):
    daemon = launch(upstream, loops=1, policies=[HOUR])
    assert post(daemon.port, key, call("a")).status == 200
    redis.stop()
    answer = post(daemon.port, key, call("a", "x"))
    assert answer.status == 200
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": "x",
        "result": {"content": [{"type": "text", "text": "Rate limiter unavailable: retry in 1 s"}], "isError": True},
    }
    assert answer["Retry-After"] == "1"
    assert post(daemon.port, key, call("a"), MODERN).status == 503
    assert post(daemon.port, "mcp_" + "A" * 43, call("a")).status == 503


# Waiting


def test_a_request_waits_for_room(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=[{"name": "org", "per": "org", "limit": "2/1s", "wait": "20s"}])
    answers = []

    def one(path, method, body):
        with Connection(daemon.port) as connection:
            fields = {"X-API-Key": key, "Content-Type": "application/json"}
            answers.append(connection.request(method, path, fields, body).status)

    body = json.dumps(call("a")).encode()
    threads = [threading.Thread(target=one, args=("/mcp", "POST", body)) for _ in range(4)]
    threads += [threading.Thread(target=one, args=("/api/listings", "GET", b"")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    assert [line["decision"] for line in daemon.lines(6)] == ["allow"] * 6


# Sessions


SESSION = "d2f0a0c4-0000-4000-8000-1234567890ab"


def opens_sessions(request, _):
    if request.method == "DELETE":
        return reply(b"", "204 No Content")
    given = {} if request.get("Mcp-Session-Id") else {"Mcp-Session-Id": SESSION}
    return reply(b"{}", fields={"Content-Type": "application/json", **given})


def test_a_session_belongs_to_the_key_that_opened_it(launch, upstream, redis, ctl):
    upstream.behaviour = opens_sessions
    owner, other, foreign = ctl.issue()["key"], ctl.issue()["key"], ctl.issue(org="rival")["key"]
    daemons = [launch(upstream), launch(upstream)]
    assert post(daemons[0].port, owner, message("initialize"))["Mcp-Session-Id"] == SESSION
    with_session = {"Mcp-Session-Id": SESSION}
    # Every sidecar knows, from the first moment on.
    for daemon in daemons:
        assert post(daemon.port, owner, call("a"), with_session).status == 200
        for key in (other, foreign):
            before = len(upstream.requests)
            refused = post(daemon.port, key, call("a", 9), with_session)
            assert (refused.status, refused.json()["id"]) == (404, 9)
            assert refused.json()["error"]["code"] == 40400
            assert refused.json()["error"]["message"] == "Session not found"
            assert ask(daemon.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream", **with_session}).status == 404
            assert ask(daemon.port, "DELETE", "/mcp", key, fields=with_session).status == 404
            assert len(upstream.requests) == before
    assert post(daemons[0].port, owner, call("a"), {"Mcp-Session-Id": "never-opened"}).status == 404
    [name] = redis("KEYS", "tg:1:{acme}:s:*")
    assert 86_300 < int(redis("TTL", name)) <= 86_400
    # What comes from a request is no part of a name.
    assert SESSION.encode() not in name
    # Sidecars come and go, the binding stays.
    daemons[0].stop()
    again = launch(upstream)
    assert post(again.port, owner, call("a"), with_session).status == 200
    assert ask(again.port, "DELETE", "/mcp", owner, fields=with_session).status == 204
    assert redis("KEYS", "tg:1:{acme}:s:*") == []
    assert post(again.port, owner, call("a"), with_session).status == 404


def test_where_there_are_no_sessions_an_id_means_nothing(launch, upstream, ctl):
    """FastMCP's own proxy passes on what a client of 2026-07-28 sends, the id of its own client's session too."""
    upstream.behaviour = opens_sessions
    owner, other = ctl.issue()["key"], ctl.issue()["key"]
    daemon = launch(upstream, policies=[HOUR])
    assert post(daemon.port, owner, message("initialize"))["Mcp-Session-Id"] == SESSION
    upstream.behaviour = lambda *_: reply(b"{}", fields={"Content-Type": "application/json"})
    modern = {"MCP-Protocol-Version": "2026-07-28"}
    for session in ("never-opened", SESSION):
        assert post(daemon.port, other, call("a"), {"Mcp-Session-Id": session, **modern}).status == 200
        # An older handler, which doesn't look at the version, finds no session of somebody else's there.
        assert upstream.requests[-1].get("Mcp-Session-Id") is None
        assert upstream.requests[-1].get("MCP-Protocol-Version") == "2026-07-28"
    # It ends none either: a DELETE is a call like any other.
    before = ask(daemon.port, "GET", "/api/listings", other).limits()[1]
    assert ask(daemon.port, "DELETE", "/mcp", other, fields={"Mcp-Session-Id": SESSION, **modern}).limits()[1] == before - 1
    assert upstream.requests[-1].get("Mcp-Session-Id") is None
    assert post(daemon.port, owner, call("a"), {"Mcp-Session-Id": SESSION}).status == 200


def calls(redis) -> int:
    """Scripts that Redis ran so far."""
    [line] = [line for line in redis("INFO", "commandstats").decode().split("\r\n") if line.startswith("cmdstat_evalsha:")]
    return int(line.split("calls=")[1].split(",")[0])


def test_a_session_costs_no_trip(launch, upstream, redis, key):
    upstream.behaviour = opens_sessions
    daemon = launch(upstream, loops=1, policies=[{**HOUR, "limit": "1000/1h"}])
    post(daemon.port, key, message("initialize"))
    post(daemon.port, key, call("a"), {"Mcp-Session-Id": SESSION})
    # And perhaps one a second that writes down the usage, or asks how Redis is, which are no trips of theirs.
    for _ in range(10):
        before, began = calls(redis), time.monotonic()
        for _ in range(10):
            assert post(daemon.port, key, call("a"), {"Mcp-Session-Id": SESSION}).status == 200
        took = calls(redis) - before
        if time.monotonic() - began < 1:
            break
    assert 10 <= took <= 13


def test_callers_without_a_key_have_no_part_in_sessions_of_those_with_one(launch, upstream, key):
    upstream.behaviour = opens_sessions
    daemon = launch(upstream, keys={"anonymous": "allow"}, policies=[], mcp={"hosts": [], "origins": []})
    post(daemon.port, key, message("initialize"))
    assert post(daemon.port, None, call("a"), {"Mcp-Session-Id": SESSION}).status == 404
    post(daemon.port, None, message("initialize"))
    assert post(daemon.port, None, call("a"), {"Mcp-Session-Id": SESSION}).status == 200
    assert post(daemon.port, key, call("a"), {"Mcp-Session-Id": SESSION}).status == 200


# Tools of a key


def test_a_key_calls_what_it_may(launch, upstream, ctl):
    daemon = launch(upstream, policies=[HOUR])
    key = ctl.issue("acme", "ruled", "--allow-tool", "get_*", "--deny-tool", "get_secrets")["key"]
    assert post(daemon.port, key, call("get_list")).status == 200
    assert post(daemon.port, key, message("tools/list")).status == 200
    served = len(upstream.requests)
    for tool in ("get_secrets", "delete_all", "GET_LIST"):
        for fields, is_result in (({}, True), (MODERN, False)):
            refused = post(daemon.port, key, call(tool, "x"), fields)
            assert refused.status == 200
            words = f"Tool '{tool}' not allowed"
            if is_result:
                assert refused.json()["result"] == {"content": [{"type": "text", "text": words}], "isError": True}
            else:
                assert (refused.json()["error"]["code"], refused.json()["error"]["message"]) == (40300, words)
    assert post(daemon.port, key, [call("get_list"), call("delete_all", 2)]).json()[0]["result"]["isError"]
    assert post(daemon.port, key, message("tools/call", 1, name=5)).json()["result"]["isError"]
    assert len(upstream.requests) == served
    # A refusal for good takes one token.
    assert remaining(post(daemon.port, key, call("get_list"))) == {"org": 20 - 2 - 6 - 1 - 1 - 1}
