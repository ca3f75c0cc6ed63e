# SPDX-License-Identifier: Apache-2.0
"""Requests that are none: refused, the connection closed, and the handler none the wiser.

docs/design.md, "The order of a request".
"""

import pytest
from fixtures.wire import Closed, Connection, Truncated, ask, until
from test_answers import problem

POST = b"POST /api/listings HTTP/1.1\r\nHost: h\r\n"

#: Each is bad in its head, so that not one octet may reach the handler. {key} stands for a good key.
BAD_HEADS: dict[str, bytes] = {
    "bare lf": b"GET /open HTTP/1.1\nHost: h\n\n",
    "bare cr": b"GET /open HTTP/1.1\rHost: h\r\r",
    "lf in a field": b"GET /open HTTP/1.1\r\nHost: h\r\nX-A: 1\nX-B: 2\r\n\r\n",
    "cr in a field": b"GET /open HTTP/1.1\r\nHost: h\r\nX-A: 1\rX-B: 2\r\n\r\n",
    "nul in a field": b"GET /open HTTP/1.1\r\nHost: h\r\nX-A: \x00\r\n\r\n",
    "control in a field": b"GET /open HTTP/1.1\r\nHost: h\r\nX-A: \x07\r\n\r\n",
    "folded": b"GET /open HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n 2\r\n\r\n",
    "folded at first": b"GET /open HTTP/1.1\r\n Host: h\r\n\r\n",
    "space before colon": b"GET /open HTTP/1.1\r\nHost : h\r\n\r\n",
    "space before length colon": POST + b"Content-Length : 5\r\n\r\nhello",
    "space in name": b"GET /open HTTP/1.1\r\nHost: h\r\nX A: 1\r\n\r\n",
    "no colon": b"GET /open HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n",
    "empty name": b"GET /open HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n",
    "letters above ascii in name": b"GET /open HTTP/1.1\r\nHost: h\r\nX-\xfc: 1\r\n\r\n",
    "no host": b"GET /open HTTP/1.1\r\nX-A: 1\r\n\r\n",
    "two hosts": b"GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": b"GET /open HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "host with a space": b"GET /open HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host with a path": b"GET /open HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with user": b"GET /open HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "length and coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "length with a plus": POST + b"Content-Length: +5\r\n\r\nhello",
    "length in hex": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "length of letters": POST + b"Content-Length: five\r\n\r\nhello",
    "empty length": POST + b"Content-Length: \r\n\r\nhello",
    "length beyond 64 bits": POST + b"Content-Length: 99999999999999999999999\r\n\r\nhello",
    "length in other digits": POST + b"Content-Length: \xd9\xa5\r\n\r\nhello",
    "coding gzip": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "coding identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked with a tail": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "vertical tab in coding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "empty coding": POST + b"Transfer-Encoding:\r\n\r\n",
    "coding in 1.0": b"POST /api/listings HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no version": b"GET /open\r\nHost: h\r\n\r\n",
    "version 2.0": b"GET /open HTTP/2.0\r\nHost: h\r\n\r\n",
    "version 1.2": b"GET /open HTTP/1.2\r\nHost: h\r\n\r\n",
    "version in lower case": b"GET /open http/1.1\r\nHost: h\r\n\r\n",
    "the preface of http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": b"GET  /open HTTP/1.1\r\nHost: h\r\n\r\n",
    "a tab": b"GET\t/open HTTP/1.1\r\nHost: h\r\n\r\n",
    "space at the end": b"GET /open HTTP/1.1 \r\nHost: h\r\n\r\n",
    "space in the target": b"GET /op en HTTP/1.1\r\nHost: h\r\n\r\n",
    "target without a slash": b"GET open HTTP/1.1\r\nHost: h\r\n\r\n",
    "letters above ascii in the target": b"GET /\xfc HTTP/1.1\r\nHost: h\r\n\r\n",
    "fragment": b"GET /open#x HTTP/1.1\r\nHost: h\r\n\r\n",
    "no method": b" /open HTTP/1.1\r\nHost: h\r\n\r\n",
    "a method that is no token": b"G@T /open HTTP/1.1\r\nHost: h\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 40 + b"\r\n\r\n",
    "binary": bytes(range(256)),
}

#: Each has a good head, and a body that turns bad after its first chunk.
BAD_BODIES: dict[str, bytes] = {
    "size of letters": b"xyz\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-1\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "space before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "size beyond 64 bits": b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "lf behind size": b"5\nhello\r\n0\r\n\r\n",
    "lf behind chunk": b"5\r\nhello\n0\r\n\r\n",
    "chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk shorter than its size": b"5\r\nhell\r\n0\r\n\r\n",
    "cr in extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "bad trailer": b"0\r\nBad Name: 1\r\n\r\n",
    "folded trailer": b"0\r\nX-A: 1\r\n 2\r\n\r\n",
    "lf behind the last": b"0\n\n",
    "empty size": b"\r\nhello\r\n0\r\n\r\n",
}


#: So much of a body is here before the handler is asked.
GATHERED = b"good" * 4096


@pytest.mark.parametrize("octets", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_of_a_bad_head_nothing_reaches_the_handler(tollgate, upstream, key, octets):
    # A good key makes sure that it isn't the missing one that stopped the request.
    first, _, rest = octets.partition(b"\r\n")
    keyed = (
        first + b"\r\nX-API-Key: " + key.encode() + b"\r\n" + rest
        if rest.startswith((b"Host", b"X-", b"Tr"))
        else octets
    )
    with Connection(tollgate.port) as connection:
        connection.send(keyed)
        answer = connection.response("POST")
        assert answer.status in (400, 505) if b"HTTP/2.0" in octets or b"HTTP/1.2" in octets else answer.status == 400
        problem(answer, answer.status, answer.reason, answer.json()["detail"])
        assert answer.json()["detail"]
        assert answer["Connection"] == "close"
        assert connection.at_end()
    assert upstream.received == b""
    assert ask(tollgate.port, "GET", "/api/listings", key).status == 200


@pytest.mark.parametrize("octets", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_of_a_body_that_turns_bad_no_whole_request_reaches_the_handler(tollgate, upstream, key, octets):
    with Connection(tollgate.port) as connection:
        connection.send(POST + f"X-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        connection.send(b"%x\r\n%b\r\n" % (len(GATHERED), GATHERED))
        until(lambda: upstream.received.endswith((GATHERED + b"\r\n", GATHERED)), "the good chunk at the handler")
        connection.send(octets)
        answer = connection.response("POST")
        assert answer.status == 400
        assert answer["Connection"] == "close"
        assert connection.at_end()
    until(lambda: upstream.open == 0, "the upstream connection ending")
    assert upstream.requests == []
    assert ask(tollgate.port, "GET", "/api/listings", key).status == 200


@pytest.mark.parametrize("octets", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_of_a_short_body_that_turns_bad_nothing_reaches_the_handler(tollgate, upstream, key, octets):
    with Connection(tollgate.port) as connection:
        connection.send(POST + f"X-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"4\r\ngood\r\n")
        connection.send(octets)
        answer = connection.response("POST")
        assert answer.status == 400
        assert answer["Connection"] == "close"
        assert connection.at_end()
    assert upstream.received == b""


@pytest.mark.parametrize("framing", ["Content-Length: 20000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n4e20\r\n"])
def test_of_a_body_that_breaks_off_no_whole_request_reaches_the_handler(tollgate, upstream, key, framing):
    connection = Connection(tollgate.port)
    connection.send(POST + f"X-API-Key: {key}\r\n{framing}".encode() + GATHERED + b"half")
    until(lambda: b"half" in upstream.received, "half a body at the handler")
    connection.close()
    until(lambda: upstream.open == 0, "the upstream connection ending")
    assert upstream.requests == []


def test_what_hides_behind_a_bad_request_is_not_answered(tollgate, upstream, key):
    hidden = f"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode()
    for bad in (BAD_HEADS["length and coding"], BAD_HEADS["two lengths"], BAD_HEADS["bare lf"]):
        with Connection(tollgate.port) as connection:
            connection.send(bad + hidden)
            assert connection.response("POST").status == 400
            assert connection.at_end()
    assert upstream.received == b""


def test_what_hides_in_a_body_stays_in_it(tollgate, upstream, key):
    hidden = f"GET /api/listings/1 HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n\r\n".encode()
    with Connection(tollgate.port) as connection:
        assert connection.request("POST", "/api/listings", {"X-API-Key": key}, hidden).status == 200
        # A refused request's body isn't read as a request either.
        assert connection.request("POST", "/api/listings", None, hidden).status == 401
        assert connection.request("GET", "/api/listings/2", {"X-API-Key": key}).status == 200
    assert [(r.method, r.target) for r in upstream.requests] == [("POST", "/api/listings"), ("GET", "/api/listings/2")]


def test_split_at_every_byte_means_the_same(tollgate, upstream, key):
    request = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".encode()
    with Connection(tollgate.port) as connection:
        for octet in request:
            connection.send(bytes([octet]))
        assert connection.response("POST").status == 200
    assert upstream.last.body == b"abc"


def test_malformed_requests_are_charged_to_the_address_alone(tollgate, key):
    with Connection(tollgate.port) as connection:
        connection.send(BAD_HEADS["no host"])
        answer = connection.response()
    assert answer.status == 400
    assert answer.limits() == (15, 14)
    assert ask(tollgate.port, "GET", "/api/listings", key).limits() == (20, 19)


def test_a_flood_of_nonsense_leaks_nothing(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=[{"name": "org", "per": "org", "limit": "1000000/1s"}])
    bad = list(BAD_HEADS.values())

    def flood():
        for octets in bad:
            with Connection(daemon.port) as connection:
                connection.send(octets)
                try:
                    connection.response("POST")
                except (Closed, Truncated):
                    pytest.fail(f"no answer to {octets!r}")

    flood()
    resident = daemon.resident()
    for _ in range(10):
        flood()
    assert daemon.resident() - resident < 2 << 20
    assert upstream.received == b""
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
