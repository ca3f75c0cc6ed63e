# SPDX-License-Identifier: Apache-2.0
"""What the handler gets, and what of its answer the caller gets (docs/design.md, "The order of a request")."""

import pytest
from fixtures.upstream import reply
from fixtures.wire import Connection, ask


def test_the_credential_ends_at_the_sidecar(tollgate, upstream, key):
    for fields in (
        {"X-API-Key": key},
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key, "Authorization": f"Bearer {key}"},
    ):
        assert ask(tollgate.port, "GET", "/api/listings", fields=fields).status == 200
        assert upstream.last.get("X-API-Key") is None
        assert upstream.last.get("Authorization") is None
    assert key.encode() not in upstream.received
    # On a public route no credential is looked at, and none goes on either.
    assert ask(tollgate.port, "GET", "/open", key).status == 200
    assert upstream.last.get("X-API-Key") is None
    assert upstream.last.get("X-Tollgate-Org") is None


def test_the_handlers_own_authorization_passes_untouched(tollgate, upstream, key):
    ask(tollgate.port, "GET", "/api/listings", key, fields={"Authorization": "Basic dTpw"})
    assert upstream.last.get("Authorization") == "Basic dTpw"
    ask(tollgate.port, "GET", "/open", fields={"Authorization": "Bearer of-the-handler"})
    assert upstream.last.get("Authorization") == "Bearer of-the-handler"


def test_forward_true_leaves_the_credential(launch, upstream, key):
    daemon = launch(upstream, keys={"forward": True})
    ask(daemon.port, "GET", "/api/listings", key)
    assert upstream.last.get("X-API-Key") == key


def test_identity_is_ours_alone_whatever_the_spelling(tollgate, upstream, ctl):
    issued = ctl.issue()
    spoofed = {
        "X-Tollgate-Org": "evil",
        "x-tollgate-key-id": "evil/1",
        "X_Tollgate_Org": "evil",
        "X-Tollgate_Key-Id": "evil/2",
        "x_tollgate_key_id": "evil/3",
        "X-TOLLGATE_ORG": "evil",
    }
    assert ask(tollgate.port, "GET", "/api/listings", issued["key"], fields=spoofed).status == 200
    named = [
        (name, value) for name, value in upstream.last.fields if name.lower().replace("_", "-").startswith("x-tollgate")
    ]
    assert named == [("X-Tollgate-Org", "acme"), ("X-Tollgate-Key-Id", issued["id"])]
    # The true ones come last, for whoever keeps the last of several.
    assert [name for name, _ in upstream.last.fields[-2:]] == ["X-Tollgate-Org", "X-Tollgate-Key-Id"]
    assert ask(tollgate.port, "GET", "/open", fields=spoofed).status == 200
    assert not any("tollgate-" in name.lower().replace("_", "-") for name, _ in upstream.last.fields)


def test_hop_by_hop_fields_end_here(tollgate, upstream, key):
    sent = {
        "Connection": "keep-alive, X-Secret-Hop",
        "Keep-Alive": "timeout=5",
        "Proxy-Connection": "keep-alive",
        "Proxy-Authorization": "Basic dTpw",
        "TE": "trailers",
        "Trailer": "X-End",
        "X-Secret-Hop": "1",
        "X-Kept": "yes",
    }
    assert ask(tollgate.port, "GET", "/api/listings", key, fields=sent).status == 200
    gone = {"keep-alive", "proxy-connection", "proxy-authorization", "te", "x-secret-hop", "transfer-encoding"}
    assert not gone & upstream.last.names()
    assert upstream.last.get("X-Kept") == "yes"


@pytest.mark.parametrize(
    "named", ["Content-Length", "Host", "X-Tollgate-Org", "Transfer-Encoding", "X-API-Key", "X-Forwarded-For"]
)
def test_connection_cannot_name_away_what_routing_or_identity_rest_on(tollgate, upstream, key, named):
    with Connection(tollgate.port) as connection:
        answer = connection.request(
            "POST", "/api/listings", {"X-API-Key": key, "Connection": f"close, {named}"}, b"12345"
        )
    if answer.status == 200:
        assert upstream.last.body == b"12345"
        assert upstream.last.get("X-Tollgate-Org") == "acme"
        assert upstream.last.get("Host") == "tollgate.test"
        assert upstream.last.get("X-Forwarded-For") == "127.0.0.1"
    else:
        assert answer.status == 400
        assert upstream.requests == []


def test_hop_by_hop_fields_of_the_answer_end_here_too(tollgate, upstream, key):
    upstream.behaviour = lambda *_: reply(
        fields={
            "Connection": "keep-alive, X-Hop",
            "Keep-Alive": "timeout=5",
            "X-Hop": "1",
            "Proxy-Authenticate": "Basic",
            "X-Kept": "yes",
        }
    )
    answer = ask(tollgate.port, "GET", "/api/listings", key)
    for name in ("Keep-Alive", "X-Hop", "Proxy-Authenticate"):
        assert name not in answer
    assert answer["X-Kept"] == "yes"


def test_host_is_what_is_configured(launch, upstream, key):
    own = f"127.0.0.1:{upstream.port}"
    for host, sent in (("upstream", own), ("preserve", "shop.example"), ("inner.example", "inner.example")):
        daemon = launch(upstream, upstream_settings={"host": host})
        for target in ("/api/listings", "/mcp"):
            assert ask(daemon.port, "GET", target, key, fields={"Host": "shop.example"}).status == 200
            assert upstream.last.get("Host") == sent
            assert upstream.last.get("X-Forwarded-Host") == "shop.example"


def test_forwarding_fields_from_a_trusted_peer(tollgate, upstream, key):
    fields = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
        "Via": "1.1 edge",
    }
    ask(tollgate.port, "GET", "/api/listings", key, fields=fields)
    got = upstream.last
    assert ", ".join(got.all("X-Forwarded-For")) == "203.0.113.9, 127.0.0.1"
    assert got.get("X-Forwarded-Proto") == "https"
    assert got.get("X-Forwarded-Host") == "shop.example"
    assert ", ".join(got.all("Via")) == "1.1 edge, 1.1 tollgate"


def test_forwarding_fields_from_anybody_else_are_set_anew(launch, upstream, key):
    daemon = launch(upstream, trusted_proxies=["192.0.2.0/24"])
    fields = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "bank.example",
        "Forwarded": "for=203.0.113.9",
        "Host": "shop.example",
    }
    ask(daemon.port, "GET", "/api/listings", key, fields=fields)
    got = upstream.last
    assert got.all("X-Forwarded-For") == ["127.0.0.1"]
    assert got.all("X-Forwarded-Proto") == ["http"]
    assert got.all("X-Forwarded-Host") == ["shop.example"]
    assert got.get("Forwarded") is None


def test_the_handlers_answer_passes_unchanged(tollgate, upstream, key):
    body = b'{"error": "no listing 9", "n": 1.50}\x00\xff'
    upstream.behaviour = lambda *_: reply(
        body,
        "404 No Such Listing",
        {
            "Content-Type": "application/weird",
            "X-MiXeD-Case": "Kept  as  it is",
            "Server": "handler/1",
            "Vary": "Accept",
            "Cache-Control": "max-age=60",
        },
    )
    answer = ask(tollgate.port, "GET", "/api/listings/9", key)
    assert (answer.status, answer.reason, answer.body) == (404, "No Such Listing", body)
    assert ("X-MiXeD-Case", "Kept  as  it is") in answer.fields
    assert answer["Content-Type"] == "application/weird"
    assert answer["Server"] == "handler/1"
    assert answer["Cache-Control"] == "max-age=60"
    assert "accept" in {name.lower() for name in answer.listed("Vary")}
    assert len(answer.all("Content-Length")) == 1


def test_rate_limit_fields_of_the_handler(tollgate, upstream, key):
    own = {
        "X-RateLimit-Limit": "7",
        "X-RateLimit-Remaining": "3",
        "X-RateLimit-Reset": "1",
        "RateLimit-Policy": '"own";q=7;w=60',
        "RateLimit": '"own";r=3;t=60',
    }
    upstream.behaviour = lambda *_: reply(fields=own)
    answer = ask(tollgate.port, "GET", "/api/listings", key)
    assert answer.limits() == (20, 19)
    assert ", ".join(answer.all("RateLimit-Policy")) == '"own";q=7;w=60, "org";q=20;w=10'
    assert ", ".join(answer.all("RateLimit")).startswith('"own";r=3;t=60, "org";r=19;t=')
    upstream.behaviour = lambda *_: reply(status="429 Too Many Requests", fields=own)
    refused = ask(tollgate.port, "GET", "/api/listings", key)
    assert refused.status == 429
    assert refused.limits() == (7, 3)


def test_bodies_of_any_framing_arrive_whole(tollgate, upstream, key):
    with Connection(tollgate.port) as connection:
        connection.request("POST", "/api/listings", {"X-API-Key": key}, b"x" * 100_000)
        assert upstream.last.body == b"x" * 100_000
        connection.send(
            f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in (b"5\r\nhello\r\n", b"1;name=value\r\n \r\n", b"00005\r\nworld\r\n", b"0\r\nX-End: 1\r\n\r\n"):
            connection.send(piece)
        assert connection.response().status == 200
        assert upstream.last.body == b"hello world"
        # And the connection goes on.
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200


@pytest.mark.parametrize("chunk", [1000, 70_000])
def test_chunks_that_came_before_the_decision_arrive_once(tollgate, upstream, key, chunk):
    """More of them than a channel holds: it takes the rest while it is being flushed."""
    head = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = bytes(number % 251 for number in range(240_000))
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    with Connection(tollgate.port) as connection:
        # Whoever sends much is read in large portions from then on.
        connection.request("POST", "/api/listings", {"X-API-Key": key}, b"x" * 500_000)
        for _ in range(3):
            connection.send(head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
            assert connection.response().status == 200
            assert upstream.last.body == body
    assert upstream.broken == []


def test_answers_of_any_framing_arrive_whole(tollgate, upstream, key):
    def chunked(*_):
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-End: 1\r\n\r\n"

    with Connection(tollgate.port) as connection:
        upstream.behaviour = chunked
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).body == b"hello world"

        def until_close(_, socket):
            socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello")

        upstream.behaviour = until_close
        answer = connection.request("GET", "/api/listings", {"X-API-Key": key})
        assert answer.body == b"hello"
        upstream.behaviour = lambda *_: b"HTTP/1.1 204 No Content\r\n\r\n"
        if answer["Transfer-Encoding"] == "chunked":
            assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 204
    with Connection(tollgate.port) as connection:
        upstream.behaviour = lambda *_: b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 10\r\n\r\n'
        answer = connection.request("GET", "/api/listings", {"X-API-Key": key})
        assert (answer.status, answer.body) == (304, b"")
        upstream.behaviour = lambda *_: reply(b"after")
        assert connection.request("GET", "/api/listings", {"X-API-Key": key}).body == b"after"


def test_http_1_0_is_served_and_closed(tollgate, upstream, key):
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    with Connection(tollgate.port) as connection:
        connection.send(f"GET /api/listings HTTP/1.0\r\nX-API-Key: {key}\r\n\r\n".encode())
        answer = connection.response()
        assert answer.body == b"hi"
        assert "Transfer-Encoding" not in answer
        assert connection.at_end()
    assert upstream.last.version == "1.1"


def test_requests_that_come_at_once_are_answered_in_order(tollgate, upstream, key):
    with Connection(tollgate.port) as connection:
        heads = [f"GET /api/listings/{n} HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n" for n in range(8)]
        post = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nContent-Length: 3\r\n\r\nabc"
        connection.send("".join([*heads, post, "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", heads[0]]).encode())
        targets = [connection.response().json()["target"] for _ in range(9)]
        assert targets == [f"/api/listings/{n}" for n in range(8)] + ["/api/listings"]
        assert connection.response().status == 404
        assert connection.response().json()["target"] == "/api/listings/0"


def test_one_connection_serves_many_requests_over_few_upstream_connections(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=[{"name": "org", "per": "org", "limit": "1000/1s"}])
    with Connection(daemon.port) as connection:
        for _ in range(50):
            assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
    assert upstream.accepted == 1


def test_connection_close_is_kept_to(tollgate, key):
    with Connection(tollgate.port) as connection:
        answer = connection.request("GET", "/api/listings", {"X-API-Key": key, "Connection": "close"})
        assert answer.status == 200
        assert answer["Connection"] == "close"
        assert connection.at_end()


def test_expect_100_continue_is_asked_of_the_handler_after_admission(tollgate, upstream, key):
    upstream.on_head = lambda request, socket: socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    with Connection(tollgate.port) as connection:
        head = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\nX-API-Key: {key}\r\n\r\n"
        connection.send(head.encode())
        assert connection.head().status == 100
        connection.send(b"body")
        assert connection.response().status == 200
        assert upstream.last.body == b"body"


def test_expect_100_continue_is_refused_without_100_where_the_caller_is(tollgate, upstream):
    with Connection(tollgate.port) as connection:
        connection.send(b"POST /api/listings HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        answer = connection.response("POST")
        assert answer.status == 401 and answer.interim == []
        assert answer["Connection"] == "close"
    assert upstream.received == b""


def test_a_refused_request_with_a_small_body_keeps_the_connection(tollgate, upstream, key):
    with Connection(tollgate.port) as connection:
        assert connection.request("POST", "/api/listings", None, b"x" * 1000).status == 401
        assert connection.request("POST", "/api/listings", {"X-API-Key": key}, b"y").status == 200
    assert [request.body for request in upstream.requests] == [b"y"]


def test_a_body_over_the_limit_is_413(launch, upstream, key):
    daemon = launch(upstream, limits={"body_bytes": "1KiB"})
    declared = ask(daemon.port, "POST", "/api/listings", key, body=b"x" * 1025)
    assert declared.status == 413
    assert declared["Connection"] == "close"
    # Charged nothing: where it stands is shown as it was, or not at all.
    assert declared.get("X-RateLimit-Remaining") in (None, "20")
    assert ask(daemon.port, "POST", "/api/listings", body=b"x" * 1025).status == 401
    assert upstream.requests == [] and upstream.received == b""
    with Connection(daemon.port) as connection:
        connection.send(
            f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n" + b"1\r\nx\r\n0\r\n\r\n")
        assert connection.response("POST").status == 413
    assert ask(daemon.port, "POST", "/api/listings", key, body=b"x" * 1024).status == 200
    assert [len(request.body) for request in upstream.requests] == [1024]


def test_a_head_over_the_limit_is_431(launch, upstream, key):
    daemon = launch(upstream, limits={"header_bytes": "1KiB"})
    answer = ask(daemon.port, "GET", "/api/listings", key, fields={"X-Long": "x" * 2000})
    assert answer.status == 431
    assert answer["Connection"] == "close"
    assert upstream.received == b""


def test_a_head_that_never_ends_is_408(launch, upstream):
    daemon = launch(upstream, limits={"header_timeout": "200ms"})
    with Connection(daemon.port) as connection:
        connection.send(b"GET /open HTTP/1.1\r\nHost: h\r\n")
        answer = connection.response()
        assert answer.status == 408
        assert connection.at_end()


def test_an_idle_connection_is_closed_in_time(launch, upstream):
    daemon = launch(upstream, limits={"idle_timeout": "2s"})
    with Connection(daemon.port) as connection:
        assert connection.request("GET", "/open").status == 200
        assert connection.at_end()


def test_an_absolute_location_of_the_handler_becomes_ours(tollgate, upstream, key):
    upstream.behaviour = lambda *_: reply(
        status="307 Temporary Redirect", fields={"Location": f"http://127.0.0.1:{upstream.port}/mcp?x=1"}
    )
    answer = ask(tollgate.port, "GET", "/api/listings", key, fields={"Host": "shop.example:8443"})
    assert answer["Location"] == "http://shop.example:8443/mcp?x=1"
    upstream.behaviour = lambda *_: reply(status="302 Found", fields={"Location": "http://elsewhere.example/"})
    assert ask(tollgate.port, "GET", "/api/listings", key)["Location"] == "http://elsewhere.example/"
    upstream.behaviour = lambda *_: reply(status="302 Found", fields={"Location": "/relative"})
    assert ask(tollgate.port, "GET", "/api/listings", key)["Location"] == "/relative"
