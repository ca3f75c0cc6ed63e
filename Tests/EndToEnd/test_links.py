# SPDX-License-Identifier: Apache-2.0
"""Under which names the handler and Tollgate know each other, and which one the client is given."""

import re
import socket

import pytest
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
def test_links_of_a_handler_with_a_name_lead_to_the_edge(launch, upstream, key, host):
    upstream.behaviour = links
    daemon = launch(f"http://localhost:{upstream.port}", upstream_settings={"host": host})
    for target in ("/api/listings", "/mcp"):
        assert_links_lead_here(daemon.port, key, target)


def test_links_of_a_handler_on_a_unix_socket_lead_to_the_edge(launch, folder, key):
    handler = Upstream(path=str(folder / "handler.sock"))
    handler.behaviour = links
    assert_links_lead_here(launch(handler).port, key, "/mcp")
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
