# SPDX-License-Identifier: Apache-2.0
"""Attempts to get more out of an MCP route than a key may have: raw clients against a real daemon and a real Redis."""

import json

import pytest
from fixtures.wire import Connection, ask
from test_mcp_messages import HOUR, call, message, post, remaining

MCP = [{"path": "/mcp", "mcp": True}]


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
