# SPDX-License-Identifier: Apache-2.0
"""Attempts to get more out of an MCP route than a key may have: raw clients against a real daemon and a real Redis."""

import contextlib
import json
import socket
import struct

import pytest
from fixtures.tunnel import UPGRADE
from fixtures.upstream import reply
from fixtures.wire import Closed, Connection, Stopwatch, Truncated, ask, until
from test_mcp_messages import HOUR, MODERN, call, message, post, remaining

MCP = [{"path": "/mcp", "mcp": True}]
JSON = {"Content-Type": "application/json"}


def head(key: str | None, *lines: str, method: str = "POST", version: str = "1.1") -> bytes:
    fields = ["Host: a", *([f"X-API-Key: {key}"] if key else []), *lines]
    return f"{method} /mcp HTTP/{version}\r\n".encode() + "\r\n".join(fields).encode() + b"\r\n\r\n"


# Ways around the count


def test_no_tunnel_carries_messages_unread(launch, upstream, key):
    """Messages in a tunnel are read by nobody, so that neither limits nor the rules of a key would hold for them."""
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    answer = ask(daemon.port, "GET", "/mcp", key, fields={**UPGRADE, "Accept": "text/event-stream"})
    assert answer.status == 200
    assert not upstream.last.names() & {"upgrade"}
    # A handler that switches all the same has nobody to talk to.
    upstream.behaviour = lambda *_: b"HTTP/1.1 101 a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert ask(daemon.port, "GET", "/mcp", key, fields=UPGRADE).status == 502


@pytest.mark.parametrize("start", [b"/**/", b"//\n", b")]}'\n", b"#\n", b"\xa0", b"\x0b"], ids=str)
def test_no_lenient_reader_finds_a_batch_in_one_call(launch, upstream, key, start):
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    body = start + json.dumps([call("a", id) for id in range(20)]).encode()
    assert post(daemon.port, key, body).status == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "uri",
    [
        "file://localhost/a",
        "file:////a",
        "file:///caf\u00e9",
        "http://a:80/b",
        "http://a:/b",
        "http://a",
        "http://a?b",
        "https://a:443/b",
        "http://a:08080/b",
        "http:///a/b",
        "http://127.1/b",
        "http://2130706433/b",
        "http://0x7f.0.0.1/b",
        "http://0177.0.0.1/b",
        "http://127.0.0.1./b",
        "http://[0:0::1]/b",
        "file:///a{b}",
        'file:///a"b',
        "file:///a`b",
        "note://a/\u00e9",
    ],
)
def test_no_spelling_of_a_resource_is_another_to_a_url_parser(launch, upstream, key, uri):
    policies = [{"name": "files", "per": "key", "limit": "10/1h", "match": {"resources": ["file:///*", "http://*/*"]}}]
    daemon = launch(upstream, routes=MCP, policies=policies)
    refused = post(daemon.port, key, message("resources/read", uri=uri))
    assert (refused.status, refused.json()["error"]["code"]) == (400, -32700)
    assert upstream.requests == []
    for normal in ("file:///a/b", "http://a:8080/b?c#d", "http://127.0.0.1/b", "http://a.b1/"):
        assert remaining(post(daemon.port, key, message("resources/read", uri=normal)))
    for normal in ("note://a/b", "note:a", "note://x:80/", "file:///a%C3%A9"):
        assert post(daemon.port, key, message("resources/read", uri=normal)).status == 200


# Lists


@pytest.fixture
def reader(ctl) -> str:
    return ctl.issue("acme", "reader", "--allow-tool", "get")["key"]


def lists_tools(request, _):
    """A handler that writes JSON as Python does: with words that JSON hasn't."""
    asked = json.loads(request.body)
    tools = [{"name": "get"}, {"name": "put"}]
    return reply(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": tools}}).encode(), fields=JSON)


def listed(port: int, key: str, body: bytes, fields: dict | None = None) -> bytes:
    try:
        return post(port, key, body, fields).body
    except Truncated as truncated:
        return truncated.read
    except Closed:
        return b""


def test_no_id_keeps_a_list_from_being_read(launch, upstream, reader):
    upstream.behaviour = lists_tools
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    body = b'{"jsonrpc":"2.0","id":1e999,"method":"tools/list"}'
    assert b"put" not in listed(daemon.port, reader, body)
    assert [each["name"] for each in post(daemon.port, reader, message("tools/list")).json()["result"]["tools"]] == ["get"]


def deep_schema(levels: int) -> dict:
    schema: dict = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
@pytest.mark.parametrize(
    "tool",
    [
        {"name": "put", "inputSchema": deep_schema(80)},
        {"name": "put", "default": float("nan")},
        {"name": "put" * 2000},
    ],
    ids=["deep", "nan", "long"],
)
def test_a_list_that_cannot_be_read_is_not_passed(launch, upstream, reader, media, tool):
    text = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": "get"}, tool]}}).encode()
    body = text if media == "application/json" else b"data: " + text + b"\n\n"
    upstream.behaviour = lambda *_: reply(body, fields={"Content-Type": media})
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    assert b"put" not in listed(daemon.port, reader, json.dumps(message("tools/list")).encode())


LISTED = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get"}, {"name":"put"}],"x":[1, 2]}}'
NESTED = b"[[" + LISTED + b"]]"
ODD = {
    "utf-16": LISTED.decode().encode("utf-16"),
    "utf-16 without a mark": LISTED.decode().encode("utf-16-be"),
    "two marks": b"\xef\xbb\xbf" * 2 + LISTED,
    "a list within a list": NESTED,
    "tools within a list": LISTED.replace(b'{"name":"put"}', b'[{"name":"put"}]'),
    "a comment": b"/**/" + LISTED,
    "a prefix": b")]}'\n" + LISTED,
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_a_list_that_others_read_is_cut(launch, upstream, reader, body):
    upstream.behaviour = lambda *_: reply(body, fields={"Content-Type": "application/json"})
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    assert listed(daemon.port, reader, json.dumps(message("tools/list")).encode()) == b""
    upstream.behaviour = lambda *_: reply(
        b"data: " + body.replace(b"\n", b"\ndata: ") + b"\n\n", fields={"Content-Type": "text/event-stream"}
    )
    assert listed(daemon.port, reader, json.dumps(message("tools/list")).encode()) == b""


@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
def test_no_charset_makes_a_list_another(launch, upstream, reader, media):
    upstream.behaviour = lambda *_: reply(LISTED, fields={"Content-Type": f"{media}; charset=utf-7"})
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    assert post(daemon.port, reader, message("tools/list")).status == 502


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "media, body",
    [
        ("application/json", MARK + LISTED),
        ("text/event-stream", MARK + b"data: " + LISTED + b"\n\n"),
        ("text/event-stream", b"data: " + MARK + LISTED + b"\n\n"),
    ],
)
def test_a_mark_hides_no_list(launch, upstream, reader, media, body):
    upstream.behaviour = lambda *_: reply(body, fields={"Content-Type": media})
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    told = listed(daemon.port, reader, json.dumps(message("tools/list")).encode())
    assert b'"get"' in told and b"put" not in told


@pytest.mark.parametrize(
    "media", ["text/event-stream", "application/json", "Application/JSON;charset=utf-8", "application/vnd.api+json", None]
)
@pytest.mark.parametrize("asked", [message("ping"), call("get"), message("notifications/x", id=None)], ids=["ping", "call", "notice"])
def test_no_other_request_is_answered_with_a_list(launch, upstream, reader, media, asked):
    """SDK 1.x sends the answer to whichever of two requests with the same id came last."""
    body = b"data: " + LISTED + b"\n\n" if media == "text/event-stream" else LISTED
    upstream.behaviour = lambda *_: reply(body, fields={"Content-Type": media} if media else None)
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    told = listed(daemon.port, reader, json.dumps(asked).encode())
    assert b'"get"' in told and b"put" not in told
    # What a page or a GET brings is no other thing.
    told = ask(daemon.port, "GET", "/mcp", reader).body
    assert b'"get"' in told and b"put" not in told


ANSWERS = {
    "what isn't JSON": (b'{"id":1,"result":{"x":NaN}}', "application/json"),
    "what is long": (b'{"id":1,"result":{"x":"' + b"x" * (5 << 20) + b'"}}', "application/json"),
    "what is none": (LISTED, "text/plain"),
    "nothing": (b"", "application/json"),
}


@pytest.mark.parametrize("body, media", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_nobody_asked_a_list_for_passes(launch, upstream, reader, body, media):
    upstream.behaviour = lambda *_: reply(body, fields={"Content-Type": media})
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    assert post(daemon.port, reader, call("get")).body == body


# Refusals


def test_a_refused_answer_is_no_answer_to_a_request(launch, upstream, key):
    """The id of an answer is one of the server's requests; the client may have one of its own under the same id."""
    upstream.behaviour = lambda *_: None
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    refused = post(daemon.port, key, {"jsonrpc": "2.0", "id": 1, "result": {}})
    assert (refused.status, refused.json()["id"]) == (502, None)
    refused = post(daemon.port, key, {"jsonrpc": "2.0", "id": 1, "result": {}}, {"Mcp-Session-Id": "none"})
    assert (refused.status, refused.json()["id"]) == (404, None)
    refused = post(daemon.port, key, message("ping"), {"Mcp-Session-Id": "none"})
    assert (refused.status, refused.json()["id"]) == (404, 1)


@pytest.mark.parametrize(
    "id",
    [rb'"\"}\r\n\u0000\ud800"', '"\u00e9\u2028\U0001f600"'.encode(), b"-0.0e-1", b"1e999", b'"' + b"\\u0041" * 600 + b'"'],
    ids=str,
)
def test_an_id_comes_back_as_it_was_sent_and_nothing_more(launch, upstream, key, id):
    daemon = launch(upstream, routes=MCP, policies=[{"name": "org", "per": "org", "limit": "1/1h"}])
    body = b'{"jsonrpc":"2.0","method":"tools/list","id":' + id + b"}"
    assert post(daemon.port, key, body).status == 200
    answer = post(daemon.port, key, body)
    assert answer.body.startswith(b'{"jsonrpc":"2.0","id":' + id + b',"error":{"code":42900,')
    assert json.loads(answer.body)["error"]["data"]["status"] == 429
    assert json.loads(post(daemon.port, key, b"[" + body + b"]").body)[0]["error"]["code"] == 42900


def test_a_name_of_a_tool_is_data(launch, upstream, reader):
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    name = 'a"}\r\nX-Evil: 1\u0000\u2028' + "\u00e9" * 100
    for fields in ({}, MODERN):
        answer = post(daemon.port, reader, call(name), fields)
        assert (answer.status, "X-Evil" in answer) == (200, False)
        told = answer.json()
        text = told["error"]["message"] if fields else told["result"]["content"][0]["text"]
        assert text.startswith("Tool 'a\"}\r\nX-Evil: 1\x00\u2028") and text.endswith("' not allowed")
    assert "X-Evil" not in daemon.access.read_text()


# Memory


def test_one_caller_leaves_room_for_the_others(launch, upstream, ctl):
    """Whoever sends bodies that don't end has only its own part of what may be held."""
    greedy, other = ctl.issue()["key"], ctl.issue(org="rival")["key"]
    daemon = launch(upstream, loops=1, routes=MCP, policies=[HOUR])
    body = b'{"a":"' + b"x" * (4_194_304 - 100)
    connections = [Connection(daemon.port) for _ in range(24)]
    for connection in connections:
        try:
            connection.send(head(greedy, "Content-Length: 4194304") + body)
        except OSError:
            pass
    until(lambda: len(daemon.lines()) >= 6, "some are refused")
    assert post(daemon.port, other, call("a")).status == 200
    for connection in connections:
        connection.close()
    until(lambda: post(daemon.port, greedy, call("a")).status == 200, "room again")


# Interim answers


def test_http_1_0_gets_no_100(launch, upstream, key):
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    with Connection(daemon.port) as connection:
        connection.send(head(key, "Expect: 100-continue", "Content-Length: 2", version="1.0") + b"{}")
        answer = connection.response()
    assert (answer.status, answer.interim) == (200, [])


# Sessions


SESSION = "5e551011-secret"


def opens_sessions(request, _):
    return reply(b"{}", fields={**JSON, "Mcp-Session-Id": SESSION})


@pytest.mark.parametrize("route", [{"throttle": False}, {"public": True}], ids=str)
def test_no_kind_of_route_lends_a_session(launch, upstream, ctl, route):
    upstream.behaviour = opens_sessions
    owner, thief = ctl.issue()["key"], ctl.issue()["key"]
    daemon = launch(upstream, routes=[*MCP, {"path": "/other", "mcp": True, **route}], policies=[HOUR])
    assert post(daemon.port, owner, message("initialize"))["Mcp-Session-Id"] == SESSION
    for body in (call("a"), message("initialize"), message("notifications/x", id=None), b"no JSON", b""):
        refused = post(daemon.port, thief, body, {"Mcp-Session-Id": SESSION}, path="/other")
        assert (refused.status, refused.json()["error"]["code"]) == (404, 40400)
    for method in ("GET", "DELETE"):
        assert ask(daemon.port, method, "/other", thief, fields={"Mcp-Session-Id": SESSION}).status == 404
    assert len(upstream.requests) == 1
    assert post(daemon.port, owner, call("a"), {"Mcp-Session-Id": SESSION}).status == 200


def test_no_rule_of_a_key_ends_where_throttling_does(launch, upstream, reader):
    daemon = launch(upstream, routes=[{**MCP[0], "throttle": False}], policies=[HOUR])
    for body in (call("put"), [call("get"), call("put", 2)], message("tools/call"), call("put", None)):
        assert b"not allowed" in post(daemon.port, reader, body).body
    assert post(daemon.port, reader, b'{"method":"tools/call","id":1,"params":{"name":"put"},"x":NaN}').status == 400
    assert upstream.requests == []


def test_trailers_say_nothing(launch, upstream, key):
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    body = json.dumps(call("a")).encode()
    names = ["Mcp-Session-Id: a", "Content-Encoding: gzip", "X-Tollgate-Org: rival", "X-API-Key: a", "Mcp-Name: b"]
    with Connection(daemon.port) as connection:
        connection.send(head(key, "Transfer-Encoding: chunked", "Trailer: Mcp-Session-Id"))
        connection.send(b"%x\r\n%s\r\n0\r\n" % (len(body), body) + "\r\n".join(names).encode() + b"\r\n\r\n")
        answer = connection.response()
    assert (answer.status, remaining(answer)) == (200, {"org": 19})
    sent = upstream.streams[1].partition(b"\r\n\r\n")[2].lower()
    assert [name for name in names if name.split(":")[0].lower().encode() in sent] == []


def test_requests_sent_ahead_are_each_counted(launch, upstream, key):
    daemon = launch(upstream, routes=MCP, policies=[{**HOUR, "limit": "3/1h"}])
    body = json.dumps(call("a")).encode()
    with Connection(daemon.port) as connection:
        connection.send((head(key, f"Content-Length: {len(body)}") + body) * 8)
        answers = [connection.response() for _ in range(8)]
    assert [b"isError" in answer.body for answer in answers] == [False] * 3 + [True] * 5
    assert len(upstream.requests) == 3


def test_secrets_stay_out_of_the_logs(launch, upstream, key, ctl):
    upstream.behaviour = opens_sessions
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    post(daemon.port, key, message("initialize"))
    post(daemon.port, ctl.issue()["key"], call("a"), {"Mcp-Session-Id": SESSION})
    post(daemon.port, key, call("a"), path="/mcp/messages?session_id=query-secret")
    post(daemon.port, key, message("resources/read", uri="note://user:uri-secret@a/"))
    post(daemon.port, key, b'{"method":"tools/call","body-secret":1,"id":1,"method":"a"}')
    daemon.lines(5)
    for said in (daemon.access.read_text(), daemon.said()):
        for secret in (SESSION, "query-secret", "uri-secret", "body-secret", key):
            assert secret not in said


# Pacing


def test_notices_of_those_who_left_delay_nobody(launch, upstream, key):
    """A turn is taken by whoever comes, but only kept by who stays for it."""
    daemon = launch(upstream, loops=1, routes=MCP, policies=[HOUR])
    body = json.dumps(message("notifications/x", id=None)).encode()
    connections = [Connection(daemon.port) for _ in range(900)]
    for connection in connections:
        connection.send(head(key, f"Content-Length: {len(body)}") + body)
    # At 100 a second the last one has 8 s to wait; those who leave are known to have left by a reset.
    until(lambda: len(upstream.requests) >= 100, "the first")
    for connection in connections:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    until(lambda: len(daemon.lines()) >= 900, "all are through")
    watch = Stopwatch()
    assert post(daemon.port, key, body).status == 200
    assert watch.took() < 2


# Ends in mid-air


def leave_at_each_point(daemon, key, body: bytes):
    """Connections that stand at every point of a request, and are closed there."""
    octets = head(key, f"Content-Length: {len(body)}") + body
    connections = []
    for count in (len(octets) - len(body) - 1, len(octets) - len(body), len(octets) - 1, len(octets)):
        connection = Connection(daemon.port)
        connection.send(octets[:count])
        connections.append(connection)
    return connections


@pytest.mark.parametrize("budget", ["300ms"])
@pytest.mark.parametrize("away", ["freeze", "kill"])
def test_redis_away_at_each_point(launch, upstream, redis, key, ctl, away):
    upstream.behaviour = opens_sessions
    stranger = ctl.issue()["key"]
    daemon = launch(upstream, loops=1, routes=MCP, policies=[HOUR])
    assert post(daemon.port, key, message("initialize")).status == 200
    getattr(redis, away)()
    for who in (key, stranger, None):
        for connection in leave_at_each_point(daemon, who, json.dumps(message("initialize")).encode()):
            connection.close()
        waiting = leave_at_each_point(daemon, who, json.dumps(call("a")).encode())
        answer = waiting[-1].response()
        assert answer.status in ((200, 503) if who else (401, 503))
        for connection in waiting:
            connection.close()
    redis.thaw() if away == "freeze" else redis.start()
    daemon.wait_until_ready()
    until(lambda: b"isError" not in post(daemon.port, key, call("a")).body, "served again")


def test_a_drain_ends_at_each_point(launch, upstream, redis, key):
    upstream.behaviour = opens_sessions
    policies = [{**HOUR, "limit": "2/1h"}, {"name": "w", "per": "key", "limit": "1/2s", "wait": "2s"}]
    daemon = launch(upstream, loops=1, routes=MCP, policies=policies, drain={"timeout": "3s"})
    assert post(daemon.port, key, call("a")).status == 200
    connections = leave_at_each_point(daemon, key, json.dumps(call("a")).encode())
    daemon.terminate()
    for connection in connections:
        try:
            connection.response()
        except (Closed, Truncated, OSError):
            pass
    for connection in connections:
        connection.close()
    assert daemon.wait(30) == 0


def test_bodies_that_are_left_give_their_memory_back(launch, upstream, key):
    """More than a loop may hold is sent, and left, one octet before its end and at it."""
    daemon = launch(upstream, loops=32, routes=MCP, policies=[{**HOUR, "limit": "1000/1h"}])
    body = b'{"method":"a","id":1,"x":"' + b"x" * 1_500_000 + b'"}'
    octets = head(key, f"Content-Length: {len(body)}") + body
    for ahead in (1, 0) * 20:
        with Connection(daemon.port) as connection, contextlib.suppress(OSError):
            # On a busy machine those before it may still be held, and it is refused before all is sent.
            connection.send(octets[: len(octets) - ahead])
    # How soon that is seen is the machine's business; then there is room at once, on whichever loop.
    until(lambda: len(daemon.lines()) >= 40, "the end of all that were left", 90)
    for _ in range(8):
        assert ask(daemon.port, "POST", "/mcp", key, fields=JSON, body=body, timeout=60).status == 200


# Framing of filtered lists


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("media", ["application/json", "text/event-stream"])
def test_a_shorter_list_is_framed_for_1_0(launch, upstream, reader, media, framing):
    body = LISTED if media == "application/json" else b"data: " + LISTED + b"\n\n"

    def answers(_, connection):
        field = {
            "length": f"Content-Length: {len(body)}\r\n",
            "chunked": "Transfer-Encoding: chunked\r\n",
            "close": "",
        }[framing]
        text = b"%x\r\n%s\r\n0\r\nDigest: a\r\n\r\n" % (len(body), body) if framing == "chunked" else body
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {media}\r\n{field}\r\n".encode() + text)

    upstream.behaviour = answers
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    asked = json.dumps(message("tools/list")).encode()
    for version in ("1.0", "1.1"):
        with Connection(daemon.port) as connection:
            connection.send(head(reader, f"Content-Length: {len(asked)}", version=version) + asked)
            answer = connection.response()
        assert b"put" not in answer.body and b'"get"' in answer.body
        assert "Content-Length" not in answer
        assert ("Transfer-Encoding" in answer) == (version == "1.1")


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified", "202 Accepted"])
def test_an_answer_without_a_body_stays_one(launch, upstream, reader, status):
    upstream.behaviour = lambda *_: f"HTTP/1.1 {status}\r\n".encode() + (
        b"\r\n" if status[:3] in ("204", "304") else b"Content-Length: 0\r\n\r\n"
    )
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    asked = json.dumps(message("tools/list")).encode()
    with Connection(daemon.port) as connection:
        for _ in range(2):
            connection.send(head(reader, f"Content-Length: {len(asked)}") + asked)
            answer = connection.response()
            assert (answer.status, answer.body) == (int(status[:3]), b"")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "post", "POST\u00a0"])
def test_no_other_method_carries_a_message(launch, upstream, key, method):
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    body = json.dumps(call("a")).encode()
    with Connection(daemon.port) as connection:
        connection.send(head(key, f"Content-Length: {len(body)}", method=method) + body)
        assert connection.response(method).status in (400, 405, 501)
    assert upstream.requests == []


@pytest.mark.parametrize(
    "path", ["/mcp/", "/MCP", "/mcp%2f", "/x/../mcp", "/mcp;a", "/%6dcp", "/mcp/./", "/mcp?x", "/mcp//", "/mcp%00", "/mcp\\"]
)
def test_no_spelling_of_the_path_is_another_route(launch, upstream, reader, path):
    routes = [*MCP, {"path": "/{rest*}", "methods": ["GET", "POST"]}]
    daemon = launch(upstream, routes=routes, policies=[HOUR])
    post(daemon.port, reader, call("put"), path=path)
    assert upstream.requests == []


def test_a_message_by_another_spelling_is_not_passed_unread(launch, upstream, key, reader):
    routes = [*MCP, {"path": "/{rest*}", "methods": ["GET", "POST"]}]
    plain = launch(upstream, routes=routes, policies=[HOUR])
    told = {who: post(plain.port, each, call("put"), path="/Mcp.json") for who, each in (("all", key), ("some", reader))}
    assert {who: answer.status for who, answer in told.items()} == {"all": 200, "some": 404}
    assert told["some"]["RateLimit"].startswith('"org";r=18;')
    assert ask(plain.port, "GET", "/MCP", reader).status == 200
    assert post(plain.port, reader, call("put"), path="/other").status == 200
    by_tool = {"name": "tools", "per": "key", "limit": "5/1h", "match": {"tools": ["put"]}}
    scoped = [{**MCP[0], "tool_scopes": {"put": ["w"]}}, routes[1]]
    seen = len(upstream.requests)
    for daemon in (launch(upstream, routes=routes, policies=[HOUR, by_tool]), launch(upstream, routes=scoped)):
        assert post(daemon.port, key, call("put"), path="/MCP").status == 404
    assert len(upstream.requests) == seen
