# SPDX-License-Identifier: Apache-2.0
"""Attempts to get more out of an MCP route than a key may have: raw clients against a real daemon and a real Redis."""

import json

import pytest
from fixtures.upstream import reply
from fixtures.wire import Closed, Connection, Truncated, ask
from test_mcp_messages import HOUR, LISTED, call, message, post, remaining

MCP = [{"path": "/mcp", "mcp": True}]
JSON = {"Content-Type": "application/json"}


# Ways around the count


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


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


def test_no_other_request_is_answered_with_a_list(launch, upstream, reader):
    """SDK 1.x sends the answer to whichever stream was opened last for an id."""
    upstream.behaviour = lambda *_: reply(b"data: " + LISTED + b"\n\n", fields={"Content-Type": "text/event-stream"})
    daemon = launch(upstream, routes=MCP, policies=[HOUR])
    assert b"put" not in listed(daemon.port, reader, json.dumps(message("ping")).encode())


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
