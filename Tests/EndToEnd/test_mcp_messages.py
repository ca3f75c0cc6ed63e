# SPDX-License-Identifier: Apache-2.0
"""What messages on an MCP route cost, and how they are refused: the daemon asked octet by octet."""

import base64
import json
import threading
import time

import pytest
from fixtures.upstream import reply
from fixtures.wire import PROCESS, Closed, Connection, Truncated, ask, until

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
        (message("tools/list"), 1),
        (call("search"), 1),
        (message("notifications/initialized", id=None), 0),
        (message("notifications/initialized", id=7), 1),
        (message("notifications/initialized", id=None) | {"id": None}, 1),
        (message("tools/call", id=None), 1),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, 0),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}}, 0),
        ({"jsonrpc": "2.0", "id": 1}, 0),
        ({"jsonrpc": "2.0", "id": 1, "error": {}, "result": {}}, 1),
        ({}, 1),
        ([message("tools/list"), call("a"), message("notifications/x", id=None)], 2),
        ([message("notifications/x", id=None)] * 3, 1),
        ([], 1),
        (b"no JSON", 1),
        (b"", 1),
        (b'{"method": "tools/list", "id": NaN}', 1),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value)[:60],
)
def test_what_a_message_costs(launch, upstream, key, body, cost):
    daemon = launch(upstream, policies=[HOUR])
    answer = post(daemon.port, key, body)
    assert answer.status == 200
    assert remaining(answer)["org"] == 20 - cost
    # The handler has it, octet for octet.
    assert upstream.last.body == (body if isinstance(body, bytes) else json.dumps(body).encode())


def test_the_handshake_has_a_bucket_of_its_own(launch, upstream, key):
    daemon = launch(upstream, policies=[{**HOUR, "limit": "1/1h"}])
    assert remaining(post(daemon.port, key, message("initialize"))) == {"org": 1, "handshake": 119}
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 0}
    # Who is over the limit still connects.
    assert remaining(post(daemon.port, key, message("initialize"))) == {"org": 0, "handshake": 118}
    assert remaining(post(daemon.port, key, message("server/discover"), MODERN)) == {"org": 0, "handshake": 117}
    told = post(daemon.port, key, message("tools/list"))
    assert (told.status, told.json()["error"]["code"]) == (200, 42900)


def test_an_entry_named_handshake_replaces_its_numbers(launch, upstream, key):
    daemon = launch(upstream, policies=[{"name": "handshake", "per": "key", "limit": "2/1h"}])
    for left in (1, 0):
        assert remaining(post(daemon.port, key, message("initialize"))) == {"handshake": left}
    refused = post(daemon.port, key, message("initialize"))
    assert (refused.status, refused.json()["id"], refused.json()["error"]["code"]) == (429, 1, 42900)


def test_without_a_key_the_handshake_costs_like_anything(launch, upstream):
    address = {"name": "address", "per": "address", "limit": "20/1h"}
    daemon = launch(upstream, policies=[address], keys={"anonymous": "allow"}, mcp={"hosts": [], "origins": []})
    assert remaining(post(daemon.port, None, message("initialize"))) == {"address": 19}


def test_streams_are_free(launch, upstream, key):
    daemon = launch(upstream, policies=[HOUR])
    upstream.behaviour = lambda *_: reply(b"data: 1\n\n", fields={"Content-Type": "Text/Event-Stream; charset=utf-8"})
    stream = ask(daemon.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream"})
    assert remaining(stream) == {"org": 20, "open-streams": 99}
    # What asks for no stream is a request like others.
    assert remaining(ask(daemon.port, "GET", "/mcp", key))["org"] == 19


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


def test_where_sessions_are_nobodys_their_end_is_a_call(launch, upstream, key):
    daemon = launch(upstream, policies=[HOUR], mcp={"bind_sessions": False})
    told = ask(daemon.port, "DELETE", "/mcp", key, fields={"Mcp-Session-Id": SESSION})
    assert remaining(told)["org"] == 19


def left(daemon, key: str) -> dict[str, int]:
    """Where a caller stands; asking costs one by each policy."""
    return remaining(ask(daemon.port, "GET", "/mcp", key))


@pytest.mark.parametrize(
    "answer,cost",
    [
        (reply(b"{}", fields={"Content-Type": "application/json"}), 2),
        (reply(b"data: 1\n\n"), 2),
        (reply(b"", "204 No Content"), 2),
        (reply(b"", "206 Partial Content", {"Content-Type": "text/event-stream-not"}), 2),
        (reply(b"", "405 Method Not Allowed"), 0),
        (reply(b"", "404 Not Found"), 0),
        (reply(b"", "302 Found", {"Location": "/"}), 0),
        (reply(b"data: 1\n\n", fields={"Content-Type": "text/event-stream"}), 0),
    ],
    ids=lambda value: None if isinstance(value, int) else str(value)[11:60],
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


def test_a_stream_that_is_paid_for_takes_a_place_too(launch, streaming, key):
    daemon = launch(streaming, loops=1, routes=[{"path": "/mcp", "mcp": True}], policies=[HOUR, OPEN])
    serves = streaming.behaviour
    streaming.behaviour = lambda *_: reply(b"{}", fields={"Content-Type": "application/json"})
    ask(daemon.port, "GET", "/mcp", key, fields=FOR_EVENTS)
    streaming.behaviour = serves
    streams = [open_stream(daemon, key) for _ in range(3)]
    assert [stream.answer.status for stream in streams] == [200, 200, 429]
    assert remaining(streams[0].answer) == {"org": 18, "open-streams": 1}


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


@pytest.mark.parametrize("bodies", [(None, None, None), (LISTEN, LISTEN, LISTEN), (None, LISTEN, None)], ids=["get", "listen", "both"])
def test_a_key_has_so_many_streams_open(launch, streaming, key, ctl, bodies):
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


def test_streams_of_callers_without_a_key_are_not_counted(launch, streaming):
    daemon = launch(streaming, routes=[{"path": "/mcp", "mcp": True, "public": True}], policies=[OPEN])
    for _ in range(3):
        stream = open_stream(daemon, None)
        assert (stream.answer.status, "RateLimit" in stream.answer) == (200, False)


def test_open_streams_end_at_a_hundred_unless_told(launch, streaming, key):
    daemon = launch(streaming, loops=1, routes=[{"path": "/mcp", "mcp": True}, {"path": "/files"}], policies=[HOUR])
    streams = [open_stream(daemon, key) for _ in range(101)]
    assert [stream.answer.status for stream in streams] == [200] * 100 + [429]
    # A stream elsewhere is a call, and asked about by what was configured alone.
    with Connection(daemon.port) as connection:
        connection.send(f"GET /files HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nAccept: text/event-stream\r\n\r\n".encode())
        assert remaining(connection.head()) == {"org": 19}


def test_what_is_free_is_slowed_beyond_its_rate(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=[HOUR])
    notice = json.dumps(message("notifications/x", id=None)).encode()
    fields = {"X-API-Key": key, "Content-Type": "application/json"}
    with Connection(daemon.port) as connection:
        for _ in range(100):
            assert connection.request("POST", "/mcp", fields, notice).status == 200
        began = time.monotonic()
        for _ in range(100):
            assert connection.request("POST", "/mcp", fields, notice).status == 200
        # Not one is refused, but the second hundred takes a second: at most what came in meanwhile is spared.
        assert time.monotonic() - began > 0.3
        assert connection.request("POST", "/mcp", fields, json.dumps(message("tools/list")).encode()).status == 200


# Matching


CONTENT = [
    {"name": "search", "per": "key", "limit": "10/1h", "cost": {"search": 5, "free": 0}, "match": {"tools": ["search", "db_*", "free"]}},
    {"name": "prompts", "per": "key", "limit": "10/1h", "match": {"prompts": ["review_?"]}},
    {"name": "files", "per": "key", "limit": "10/1h", "match": {"resources": ["file:///*"]}},
    {"name": "lists", "per": "key", "limit": "10/1h", "match": {"mcp_methods": ["*/list"]}},
]


@pytest.mark.parametrize(
    "body,left",
    [
        (call("search"), {"search": 5}),
        (call("db_read"), {"search": 9}),
        (call("free"), {"search": 10}),
        (call("other"), {}),
        (call("Search"), {}),
        (message("prompts/get", name="review_1"), {"prompts": 9}),
        (message("prompts/get", name="review_10"), {}),
        (message("resources/read", uri="file:///etc/passwd"), {"files": 9}),
        (message("resources/subscribe", uri="file:///a"), {"files": 9}),
        (message("resources/read", uri="http://a/"), {}),
        (message("tools/list"), {"lists": 9}),
        ([call("search"), call("db_a", 2), message("tools/list", 3)], {"search": 4, "lists": 9}),
        (b'{"\\u006dethod":"tools\\/call","id":1,"params":{"na\\u006de":"se\\u0061rch"}}', {"search": 5}),
    ],
    ids=str,
)
def test_policies_see_what_is_asked_for(launch, upstream, key, body, left):
    daemon = launch(upstream, policies=CONTENT, routes=[{"path": "/mcp", "mcp": True}])
    answer = post(daemon.port, key, body)
    assert answer.status == 200
    assert (remaining(answer) if left else "RateLimit" in answer) == (left or False)


@pytest.mark.parametrize("uri", ["FILE:///a", "file:/a", "file:///b/../a", "file:///%61", " file:///a", "file:\\\\\\a"])
def test_no_spelling_of_a_resource_goes_around_its_limit(launch, upstream, key, uri):
    daemon = launch(upstream, policies=CONTENT, routes=[{"path": "/mcp", "mcp": True}])
    refused = post(daemon.port, key, message("resources/read", uri=uri))
    assert (refused.status, refused.json()["error"]["code"]) == (400, -32700)
    assert upstream.requests == []
    # Where nobody asks about resources it is the handler's business.
    plain = launch(upstream, policies=[HOUR])
    assert post(plain.port, key, message("resources/read", uri=uri)).status == 200


def test_a_batch_is_decided_whole(launch, upstream, key):
    daemon = launch(upstream, policies=CONTENT, routes=[{"path": "/mcp", "mcp": True}])
    assert remaining(post(daemon.port, key, call("search"))) == {"search": 5}
    refused = post(daemon.port, key, [call("search", "a"), message("notifications/x", id=None), message("tools/list", 2), call("db_a", 3)])
    assert refused.status == 200
    assert [(each["id"], "result" in each) for each in refused.json()] == [("a", True), (2, False), (3, True)]
    assert len(upstream.requests) == 1
    assert remaining(post(daemon.port, key, call("search"))) == {"search": 0}


def test_fields_are_not_believed_unless_told(launch, upstream, key):
    fields = {**MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "cheap"}
    policies = [{"name": "dear", "per": "key", "limit": "10/1h", "cost": {"dear": 5}, "match": {"tools": ["dear"]}}]
    routes = [{"path": "/mcp", "mcp": True}]
    for trusts, costs in ((False, True), (True, False)):
        daemon = launch(upstream, policies=policies, routes=routes, mcp={"trust_mcp_headers": trusts})
        assert ("RateLimit" in post(daemon.port, key, call("dear"), fields)) == costs
    # A name that a field can't hold comes encoded; before this version nobody compares the fields, so they are no word.
    encoded = {"Mcp-Name": f"=?base64?{base64.b64encode(b'dear').decode()}?="}
    assert remaining(post(daemon.port, key, call("dear"), {**fields, **encoded})) == {"dear": 0}
    assert "RateLimit" not in post(daemon.port, key, call("cheap"), {**fields, "MCP-Protocol-Version": "2025-11-25"})


@pytest.mark.parametrize(
    "name",
    ["caf\xe9", "caf\xc3\xa9", "=?base64?Y2Fm6Q==?=", "=?base64?Y2Fmw6l=?=", "=?BASE64?Y2Fmw6k=?=", "=?utf-8?Q?caf=C3=A9?="],
)
def test_a_field_that_may_be_read_otherwise_is_not_believed(launch, upstream, ctl, name):
    barred = ctl.issue("acme", "barred", "--deny-tool", "caf\u00e9")["key"]
    daemon = launch(upstream, routes=[{"path": "/mcp", "mcp": True}], mcp={"trust_mcp_headers": True})
    fields = {**MODERN, "Mcp-Method": "tools/call", "Mcp-Name": name}
    assert b"not allowed" in post(daemon.port, barred, call("caf\u00e9"), fields).body
    assert upstream.requests == []


# Ambiguity


@pytest.mark.parametrize(
    "body,detail",
    [
        (b'{"method":"ping","id":1,"method":"tools/call"}', "member 'method' given twice"),
        (b'{"method":"ping","id":1,"result":{}}', "message is both request and response"),
        (b'{"Method":"tools/call","id":1}', "a member's name differs from 'method' in letter case only"),
        (b'{"method":"tools/call","id":1,"params":{"name":"a","name":"b"}}', "member 'name' given twice"),
        (b"[[]]", "batch within a batch"),
        (b'[{"method":"ping","id":NaN}]', "unexpected octet at offset 23"),
        (b'\xef\xbb\xbf[{"method":"ping","id":1}]', "unexpected octet at offset 0"),
        ('[{"method":"ping","id":1}]'.encode("utf-16-le"), "unexpected octet at offset 1"),
        ('[{"method":"ping","id":1}]'.encode("utf-16-be"), "unexpected octet at offset 0"),
        (b"[" * 65, "batch within a batch"),
        (b'{"a":' * 65, "nested more than 64 levels deep"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_may_be_read_otherwise_is_refused(launch, upstream, key, body, detail):
    daemon = launch(upstream, policies=[HOUR])
    answer = post(daemon.port, key, body)
    assert (answer.status, answer["Content-Type"]) == (400, "application/json")
    error = answer.json()["error"]
    assert (answer.json()["id"], error["code"]) == (None, -32700)
    assert error["message"] == f"Malformed MCP message: {detail}" == error["data"]["detail"]
    assert upstream.requests == []
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 19}


def test_what_is_no_json_is_refused_where_it_matters(launch, upstream, ctl):
    daemon = launch(upstream, policies=CONTENT[:1], routes=[{"path": "/mcp", "mcp": True}])
    assert post(daemon.port, ctl.issue()["key"], b"no JSON").status == 400
    dear = launch(upstream, policies=[{**HOUR, "cost": {"dear": 5}}])
    assert post(dear.port, ctl.issue()["key"], b'{"method":"tools/call","id":1,"params":{"name":"dear","x":NaN}}').status == 400
    plain = launch(upstream, policies=[HOUR])
    ruled = ctl.issue("acme", "ruled", "--allow-tool", "a")["key"]
    assert post(plain.port, ruled, b"no JSON").status == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity, gzip"},
        {"Content-Encoding": "identity", "Content_Encoding": "deflate"},
        {"Content-Encoding": "identity", "content-encoding": "deflate"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Type": 'application/json;CHARSET = "utf-16"'},
    ],
    ids=str,
)
def test_what_is_encoded_is_415(launch, upstream, key, fields):
    daemon = launch(upstream, policies=[HOUR])
    answer = post(daemon.port, key, call("a"), fields)
    assert (answer.status, answer.json()["error"]["code"]) == (415, 41500)
    assert upstream.requests == []
    for fields in ({"Content-Encoding": "identity"}, {"Content-Type": "application/json; charset=UTF-8"}):
        assert post(daemon.port, key, call("a"), fields).status == 200


@pytest.mark.parametrize(
    "lines",
    [b"Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n", b"Mcp_Session_Id: a\r\n", b"MCP-Protocol_Version: 2026-07-28\r\n", b"Mcp-Method: a\r\nmcp-method: a\r\n"],
)
def test_fields_that_are_read_two_ways_are_400(launch, upstream, key, lines):
    daemon = launch(upstream)
    with Connection(daemon.port) as connection:
        connection.send(b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nContent-Length: 2\r\n" + lines + b"\r\n{}")
        assert connection.response().status == 400
    assert upstream.requests == []


# The body


def test_the_credential_comes_first(launch, upstream, key):
    """A stranger's body isn't even asked for."""
    daemon = launch(upstream)
    with Connection(daemon.port) as connection:
        connection.send(b"POST /mcp HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
        answer = connection.response()
        assert (answer.status, answer.interim) == (401, [])
    with Connection(daemon.port) as connection:
        connection.send(
            b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert b"100 Continue" in connection.more()
        connection.send(b"{}")
        answer = connection.response()
        assert (answer.status, len(answer.interim)) == (200, 1)
    assert "expect" not in upstream.last.names()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_arrives_as_it_was_sent(launch, upstream, key, chunked):
    daemon = launch(upstream, policies=[HOUR])
    body = json.dumps(call("a") | {"padding": "x" * 300_000}).encode()
    with Connection(daemon.port) as connection:
        head = b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nContent-Type: application/json\r\n"
        if chunked:
            connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for start in range(0, len(body), 7001):
                piece = body[start : start + 7001]
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\nX-Trailer: t\r\n\r\n")
        else:
            connection.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = connection.response()
    assert answer.status == 200
    assert upstream.last.body == body
    assert upstream.last.get("Content-Length") == (None if chunked else str(len(body)))


def test_a_message_beyond_its_bound_is_413(launch, upstream, key):
    daemon = launch(upstream, limits={"mcp_body_bytes": "1KiB"}, policies=[HOUR])
    assert post(daemon.port, key, b" " * 1025).status == 413
    with Connection(daemon.port) as connection:
        connection.send(b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + b" " * 2048)
        answer = connection.response()
        assert (answer.status, answer.json()["error"]["message"]) == (413, "Request body exceeds 1024 bytes")
    # Other routes have the bound of all bodies.
    assert ask(daemon.port, "POST", "/api/listings", key, body=b" " * 1025).status == 200
    assert len(upstream.requests) == 1


def test_a_flood_of_bodies_is_bounded(launch, upstream, key):
    """4 bodies of 4 MiB that don't end are all that a key may have; who leaves makes room."""
    daemon = launch(upstream, loops=1, policies=[HOUR])
    head = b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b"\r\nContent-Length: 4194304\r\n\r\n"
    held = []
    statuses = []

    def fill(connection):
        connection.send(head + b'{"a":"' + b"x" * (4194304 - 100))

    for _ in range(24):
        connection = Connection(daemon.port)
        held.append(connection)
        try:
            fill(connection)
        except OSError:
            pass
    refused = []
    for connection in held:
        connection.socket.settimeout(0.5)
        try:
            if b" 503 " in connection.more():
                refused.append(connection)
        except (TimeoutError, OSError, AssertionError):
            pass
    assert 20 <= len(refused) < 24
    assert daemon.resident() < 250 << 20
    for connection in held:
        connection.close()
    until(lambda: post(daemon.port, key, call("a")).status == 200, "room again")


def test_a_client_that_leaves_in_mid_body_costs_nothing(launch, upstream, key):
    daemon = launch(upstream, policies=[HOUR])
    with Connection(daemon.port) as connection:
        connection.send(b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-API-Key: " + key.encode() + b'\r\nContent-Length: 100\r\n\r\n{"method"')
    assert remaining(post(daemon.port, key, call("a"))) == {"org": 19}
    assert len(upstream.requests) == 1


# Refusals


EMPTY = [{"name": "org", "per": "org", "limit": "1/1h"}]


@pytest.mark.parametrize(
    "body,fields,reject,status,shape",
    [
        (call("a", "x"), {}, "auto", 200, {"id": "x", "result": True}),
        (message("tools/list", 2), {}, "auto", 200, {"id": 2, "result": False}),
        (message("tools/list", -1.5e3), {"MCP-Protocol-Version": "2025-11-25"}, "auto", 200, {"id": -1500, "result": False}),
        (call("a", 3), MODERN, "auto", 429, {"id": 3, "result": False}),
        (b"no JSON", {}, "auto", 429, {"id": None, "result": False}),
        (call("a", 4), {}, "http", 429, {"id": 4, "result": False}),
        (call("a", 5), {}, "jsonrpc", 200, {"id": 5, "result": False}),
        (call("a", 6), MODERN, "jsonrpc", 200, {"id": 6, "result": False}),
        (call("a", 7), MODERN, "tool_error", 200, {"id": 7, "result": True}),
        (message("tools/list", 8), {}, "tool_error", 200, {"id": 8, "result": False}),
    ],
)
@pytest.mark.parametrize("said_by", ["policy", "mcp"])
def test_a_denial_is_told_as_the_client_survives_it(launch, upstream, key, body, fields, reject, status, shape, said_by):
    policy = {**EMPTY[0], **({"reject": reject} if said_by == "policy" else {})}
    daemon = launch(upstream, policies=[policy], mcp={"reject": reject if said_by == "mcp" else "auto"})
    assert post(daemon.port, key, call("a")).status == 200
    answer = post(daemon.port, key, body, fields)
    assert (answer.status, answer["Content-Type"]) == (status, "application/json")
    assert answer.limits() == (1, 0)
    assert int(answer["Retry-After"]) in range(3595, 3601)
    told = answer.json()
    assert told["jsonrpc"] == "2.0"
    assert {"id": told["id"], "result": "result" in told} == shape
    words = f"Rate limit exceeded: retry in {answer['Retry-After']} s"
    if shape["result"]:
        modern = {"resultType": "complete"} if fields == MODERN else {}
        assert told["result"] == {**modern, "content": [{"type": "text", "text": words}], "isError": True}
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


def test_a_policy_may_go_back_to_auto(launch, upstream, key):
    daemon = launch(upstream, policies=[{**EMPTY[0], "reject": "auto"}], mcp={"reject": "http"})
    assert [post(daemon.port, key, call("a")).status for _ in range(2)] == [200, 200]
    assert len(upstream.requests) == 1


def test_a_cost_that_never_fits_is_told_in_band(launch, upstream, key):
    policies = [{"name": "dear", "per": "key", "limit": "5/1h", "cost": {"dear": 5}}]
    daemon = launch(upstream, policies=policies)
    for fields in ({}, MODERN):
        answer = post(daemon.port, key, [call("dear", 1), call("dear", 2)], fields)
        assert answer.status == 200
        assert [each["id"] for each in answer.json()] == [1, 2]
    answer = post(daemon.port, key, [call("dear", 1), message("tools/list", 2)], MODERN)
    assert answer.json()[1]["error"]["code"] == 40300
    assert answer.json()[1]["error"]["message"] == "Cost 6 exceeds the capacity 5 of policy dear"
    assert upstream.requests == []


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


def test_no_request_waits_in_vain(launch, upstream, key):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "1/1h", "wait": "30s"}])
    assert post(daemon.port, key, call("a")).status == 200
    assert "isError" in post(daemon.port, key, call("a")).json()["result"]


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
    daemon = launch(upstream)
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
    daemon = launch(upstream, loops=1)
    post(daemon.port, key, message("initialize"))
    post(daemon.port, key, call("a"), {"Mcp-Session-Id": SESSION})
    before = calls(redis)
    for _ in range(10):
        assert post(daemon.port, key, call("a"), {"Mcp-Session-Id": SESSION}).status == 200
    # And perhaps one that writes down the usage, or asks how Redis is, which are no trips of theirs.
    assert 10 <= calls(redis) - before <= 13


def test_sessions_may_be_nobodys(launch, upstream, ctl):
    upstream.behaviour = opens_sessions
    daemon = launch(upstream, mcp={"bind_sessions": False})
    assert post(daemon.port, ctl.issue()["key"], call("a"), {"Mcp-Session-Id": "any"}).status == 200


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


LISTED = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get"}, {"name":"put"}],"x":[1, 2]}}'
SHORTER = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get"}],"x":[1, 2]}}'


@pytest.fixture
def reader(ctl) -> str:
    return ctl.issue("acme", "reader", "--allow-tool", "get")["key"]


def test_lists_leave_out_what_a_key_may_not_call(launch, upstream, key, reader):
    upstream.behaviour = lambda *_: reply(LISTED, fields={"Content-Type": "application/json; charset=utf-8"})
    daemon = launch(upstream, policies=[HOUR])
    fields = {"Accept-Encoding": "gzip"}
    assert post(daemon.port, reader, message("tools/list"), fields).body == SHORTER
    # Who is read is asked in plain words.
    assert upstream.last.get("Accept-Encoding") is None
    assert post(daemon.port, reader, [message("tools/list"), message("ping", 2)]).body == SHORTER
    # Some clients take a list for the answer to another request.
    assert post(daemon.port, reader, call("get"), fields).body == SHORTER
    # Other keys' answers are nobody's business.
    answer = post(daemon.port, key, message("tools/list"), fields)
    assert (answer.body, answer["Content-Length"]) == (LISTED, str(len(LISTED)))
    assert upstream.last.get("Accept-Encoding") == "gzip"
    with Connection(daemon.port) as connection:
        body = json.dumps(message("tools/list")).encode()
        connection.send(b"POST /mcp HTTP/1.0\r\nX-API-Key: " + reader.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert connection.response().body == SHORTER


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_streams_leave_it_out_as_well(launch, upstream, reader, method):
    def stream(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b": hi\n\n", b"event: message\ndata: " + LISTED[:30], LISTED[30:] + b"\n\n", b"data: {}\n\n"):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        return b"0\r\n\r\n"

    upstream.behaviour = stream
    daemon = launch(upstream, policies=[HOUR])
    if method == "POST":
        answer = post(daemon.port, reader, message("tools/list"))
    else:
        answer = ask(daemon.port, "GET", "/mcp", reader, fields={"Accept": "text/event-stream"})
    assert answer.body == b": hi\n\nevent: message\ndata: " + SHORTER + b"\n\ndata: {}\n\n"


def test_an_answer_that_cannot_be_looked_into_is_502(launch, upstream, reader):
    daemon = launch(upstream, policies=[HOUR])
    json_type = {"Content-Type": "application/json"}
    upstream.behaviour = lambda *_: reply(b"\x1f\x8b", fields={**json_type, "Content-Encoding": "gzip"})
    assert post(daemon.port, reader, message("tools/list")).status == 502
    upstream.behaviour = lambda *_: reply(b" " * (4 << 20) + LISTED, fields=json_type)
    with pytest.raises((Truncated, Closed)):
        post(daemon.port, reader, message("tools/list"))
    upstream.behaviour = lambda *_: reply(b"no JSON", fields=json_type)
    with pytest.raises((Truncated, Closed)):
        post(daemon.port, reader, message("tools/list"))


# Browsers


def test_only_listed_hosts_and_pages_ask(launch, upstream, key):
    daemon = launch(upstream, mcp={"hosts": ["api.example.com", "127.0.0.1:8080"], "origins": ["https://app.example.com", "http://localhost:*"]})
    good = {"Host": "API.example.com:443", "Origin": "https://App.example.com"}
    assert post(daemon.port, key, call("a"), good).status == 200
    assert post(daemon.port, key, call("a"), {"Host": "127.0.0.1:8080", "Origin": "http://localhost:5173"}).status == 200
    for fields in ({"Host": "evil.example"}, {"Host": "api.example.com.evil"}, {"Host": "127.0.0.1:8081"}):
        refused = post(daemon.port, key, call("a"), fields)
        assert (refused.status, refused.json()["error"]["message"]) == (403, "Host not allowed")
    for origin in ("https://evil.example", "null", "https://app.example.com:8443", "http://app.example.com", "http://localhost:a", ""):
        refused = post(daemon.port, key, call("a"), {**good, "Origin": origin})
        assert (refused.status, refused.json()["error"]["message"]) == (403, "Origin not allowed"), origin
    assert len(upstream.requests) == 2
    # Other routes are the handler's and cors' business.
    assert ask(daemon.port, "GET", "/api/listings", key, fields={"Host": "evil.example"}).status == 200


def test_without_keys_only_this_machine_is_meant(launch, upstream):
    daemon = launch(upstream, keys={"anonymous": "allow"}, policies=[])
    assert post(daemon.port, None, call("a"), {"Host": f"127.0.0.1:{daemon.port}"}).status == 200
    assert post(daemon.port, None, call("a"), {"Host": "localhost:1", "Origin": "http://127.0.0.1:3000"}).status == 200
    assert post(daemon.port, None, call("a"), {"Host": "rebound.example"}).status == 403
    assert post(daemon.port, None, call("a"), {"Host": "localhost", "Origin": "https://evil.example"}).status == 403


def test_clients_learn_who_issues_tokens(launch, upstream, key, ctl):
    metadata = {"resource": "https://api.example.com/mcp", "authorization_servers": ["https://login.example.com"]}
    daemon = launch(upstream, mcp={"resource_metadata": metadata})
    refused = post(daemon.port, None, call("a"))
    where = "https://api.example.com/.well-known/oauth-protected-resource/mcp"
    assert (refused.status, refused["WWW-Authenticate"]) == (401, f'Bearer realm="tollgate", resource_metadata="{where}"')
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        answer = ask(daemon.port, "GET", path)
        assert (answer.status, answer["Content-Type"]) == (200, "application/json")
        assert answer.json() == {**metadata, "bearer_methods_supported": ["header"]}
        assert answer["Access-Control-Allow-Origin"] == "*"
    assert ask(daemon.port, "GET", "/.well-known/oauth-protected-resource/other").status == 404
    # Who speaks OAuth wants the status.
    ruled = ctl.issue("acme", "ruled", "--deny-tool", "a")["key"]
    assert post(daemon.port, ruled, call("a")).status == 403
    assert upstream.requests == []
