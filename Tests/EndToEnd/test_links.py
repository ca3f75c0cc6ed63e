# SPDX-License-Identifier: Apache-2.0
"""Under which names the handler and Tollgate know each other, and which one the client is given."""

import re
import socket
from email.utils import parsedate_to_datetime

import pytest
from conftest import ROUTES
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, ask

EDGE = {"Host": "edge.internal", "X-Forwarded-Host": "shop.example", "X-Forwarded-Proto": "https"}


def links(request, _):
    """As servers do that make URLs of what they are sent."""
    own = f"{request.get('X-Forwarded-Proto') or 'http'}://{request.get('Host')}"
    return reply(
        status="307 Temporary Redirect",
        fields={
            "location": f"{own}{request.target}/moved",
            "Content-Location": f"{own}/content",
            "Refresh": f"5; url={own}/later",
        },
    )


def assert_links_lead_here(port, key, target):
    answer = ask(port, "GET", target, key, fields=EDGE)
    assert answer.status == 307
    assert answer.all("Location") == [f"https://shop.example{target}/moved"]
    assert answer.all("Content-Location") == ["https://shop.example/content"]
    assert answer.all("Refresh") == ["5; url=https://shop.example/later"]


@pytest.mark.parametrize("host", ["auto", "upstream", "preserve", "inner.example"])
@pytest.mark.parametrize("kind", ["address", "name", "unix"])
def test_links_of_the_handler_lead_to_the_edge(launch, folder, key, kind, host):
    handler = Upstream(path=str(folder / "handler.sock") if kind == "unix" else None)
    handler.behaviour = links
    url = f"http://localhost:{handler.port}" if kind == "name" else handler.url
    daemon = launch(url, upstream_settings={"host": host})
    for target in ("/api/listings", "/mcp"):
        assert_links_lead_here(daemon.port, key, target)
    handler.close()


def test_links_of_a_handler_on_ipv6_lead_to_the_edge(launch, key):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        daemon = launch(f"http://[::1]:{port}")
        with Connection(daemon.port) as client:
            client.send(f"GET /mcp HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode())
            connection, _ = listener.accept()
            with connection:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += connection.recv(65536)
                host = re.search(rb"\r\nHost: (.*)\r\n", head)[1].decode()
                assert host == f"[::1]:{port}"
                connection.sendall(reply(status="302 Found", fields={"Location": f"http://{host}/x"}))
            assert client.response()["Location"] == "http://h/x"


def test_host_is_the_handlers_own_for_mcp_and_the_clients_for_the_rest(launch, upstream, key):
    routes = [
        *ROUTES,
        {"path": "/inner", "host": "upstream"},
        {"path": "/named", "host": "inner.example"},
        {"path": "/tools", "mcp": True, "host": "preserve"},
    ]
    own = f"127.0.0.1:{upstream.port}"

    def sent(daemon, target):
        assert ask(daemon.port, "GET", target, key, fields={"Host": "shop.example"}).status == 200
        assert upstream.last.get("X-Forwarded-Host") == "shop.example"
        return upstream.last.get("Host")

    listed = launch(upstream, routes=routes)
    hosts = {
        "/mcp": own, "/mcp/below": own, "/api/listings": "shop.example", "/open": "shop.example", "/inner": own,
        "/named": "inner.example", "/tools": "shop.example",
    }
    assert {target: sent(listed, target) for target in hosts} == hosts
    unlisted = launch(upstream, routes=None)
    assert [sent(unlisted, target) for target in ("/mcp", "/api/listings")] == [own, own]


def test_a_host_without_its_port_is_taken(launch, upstream, key):
    daemon = launch(upstream, mcp={"hosts": ["shop.example"]})
    upstream.behaviour = links
    for target in ("/mcp", "/api/listings"):
        answer = ask(daemon.port, "GET", target, key, fields={"Host": "shop.example:"})
        assert (answer.status, answer["Location"]) == (307, f"http://shop.example{target}/moved")
        assert upstream.last.get("X-Forwarded-Host") == "shop.example"
    assert upstream.last.get("Host") == "shop.example"
    with Connection(daemon.port) as client:
        client.send(
            f"GET http://shop.example:/open HTTP/1.1\r\nHost: shop.example\r\nX-API-Key: {key}\r\n\r\n".encode()
        )
        assert client.response().status == 307
    assert ask(daemon.port, "GET", "/mcp", key, fields={"Host": "other.example:"}).status == 403


def test_a_host_with_sub_delims_is_taken(tollgate, upstream, key):
    for host in ("a!$&'()*+;=b.example", "a=b:8080"):
        assert ask(tollgate.port, "GET", "/api/listings", key, fields={"Host": host}).status == 200
        assert upstream.last.get("Host") == host
        assert upstream.last.get("X-Forwarded-Host") == host
    # In X-Forwarded-Host it would be two.
    assert ask(tollgate.port, "GET", "/api/listings", key, fields={"Host": "a,b"}).status == 400


def test_an_answer_without_date_gets_one(tollgate, upstream, key):
    upstream.on_head = lambda request, socket: socket.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    with Connection(tollgate.port) as client:
        answer = client.request("GET", "/api/listings", {"X-API-Key": key})
    assert len(answer.all("Date")) == 1
    assert parsedate_to_datetime(answer["Date"]).utcoffset().total_seconds() == 0
    assert [early.status for early in answer.interim] == [103]
    assert all("Date" not in early for early in answer.interim)
    upstream.behaviour = lambda *_: reply(fields={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    assert ask(tollgate.port, "GET", "/api/listings", key).all("Date") == ["Mon, 01 Jan 2024 00:00:00 GMT"]


def test_a_field_that_the_handler_names_in_vary_is_named_once(tollgate, upstream, key):
    upstream.behaviour = lambda *_: reply(fields={"Vary": "Accept, x-api-key"})
    assert ask(tollgate.port, "GET", "/api/listings", key).all("Vary") == ["Accept, x-api-key", "Authorization"]


def test_a_proxy_that_names_no_client_is_told_of_once(launch, upstream, key):
    words = "a trusted proxy names no client: all its callers count as one"
    daemon = launch(upstream)
    ask(daemon.port, "GET", "/api/listings", key, fields={"X-Forwarded-For": "203.0.113.9"})
    assert daemon.times_said(words) == 0
    for _ in range(5):
        ask(daemon.port, "GET", "/api/listings", key)
        ask(daemon.port, "GET", "/api/listings", key, fields={"X-Forwarded-For": "unknown"})
    said = [line.split(" ", 1)[1] for line in daemon.said().splitlines() if words in line]
    hint = '"set the field in the proxy; if this peer is no proxy, take it out of trusted_proxies"'
    assert said == [f"notice {words} hint={hint} missing=X-Forwarded-For peer=127.0.0.1"]
    distrusting = launch(upstream, trusted_proxies=["192.0.2.0/24"])
    ask(distrusting.port, "GET", "/api/listings", key)
    assert distrusting.times_said(words) == 0
