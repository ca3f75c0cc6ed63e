# SPDX-License-Identifier: Apache-2.0
"""Requests that are none: refused, the connection closed, and the handler none the wiser.

docs/design.md, "The order of a request".
"""

import pytest
from fixtures.wire import Closed, Connection, Truncated, ask, until
from test_answers import problem
from test_corpus import CORPUS, REQUESTS

#: The rest of them is in MalformedRequestTests.swift. {key} stands for a good key, so that it isn't the missing one that stops
#: the request.
BAD_HEADS = {
    "bare lf": b"GET /open HTTP/1.1\nX-API-Key: {key}\nHost: h\n\n",
    "length and coding": b"POST /api/listings HTTP/1.1\r\nX-API-Key: {key}\r\nHost: h\r\n"
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "binary": bytes(range(256)),
}

#: So much of a body is here before the handler is asked.
GATHERED = b"good" * 4096


@pytest.mark.parametrize("octets", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_of_a_bad_head_nothing_reaches_the_handler(tollgate, upstream, key, octets):
    with Connection(tollgate.port) as connection:
        connection.send(octets.replace(b"{key}", key.encode()))
        answer = connection.response("POST")
        problem(answer, 400, "Bad Request", answer.json()["detail"])
        assert answer.json()["detail"]
        assert answer["Connection"] == "close"
        assert connection.at_end()
    assert upstream.received == b""
    assert ask(tollgate.port, "GET", "/api/listings", key).status == 200


def test_of_a_body_that_turns_bad_no_whole_request_reaches_the_handler(tollgate, upstream, key):
    head = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Connection(tollgate.port) as connection:
        connection.send(head.encode() + b"%x\r\n%b\r\n" % (len(GATHERED), GATHERED))
        until(lambda: upstream.received.endswith((GATHERED + b"\r\n", GATHERED)), "the good chunk at the handler")
        connection.send(b"5\r\nhello\n0\r\n\r\n")
        answer = connection.response("POST")
        assert answer.status == 400
        assert answer["Connection"] == "close"
        assert connection.at_end()
    until(lambda: upstream.open == 0, "the upstream connection ending")
    assert upstream.requests == []
    assert ask(tollgate.port, "GET", "/api/listings", key).status == 200


@pytest.mark.parametrize("framing", ["Content-Length: 20000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n4e20\r\n"])
def test_of_a_body_that_breaks_off_no_whole_request_reaches_the_handler(tollgate, upstream, key, framing):
    connection = Connection(tollgate.port)
    head = f"POST /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\n{framing}"
    connection.send(head.encode() + GATHERED + b"half")
    until(lambda: b"half" in upstream.received, "half a body at the handler")
    connection.close()
    until(lambda: upstream.open == 0, "the upstream connection ending")
    assert upstream.requests == []


def test_malformed_requests_are_charged_to_the_address_alone(tollgate, key):
    with Connection(tollgate.port) as connection:
        connection.send(b"GET /open HTTP/1.1\r\nX-A: 1\r\n\r\n")
        answer = connection.response()
    assert answer.status == 400
    assert answer.limits() == (15, 14)
    assert ask(tollgate.port, "GET", "/api/listings", key).limits() == (20, 19)


def test_a_flood_of_nonsense_leaks_nothing(launch, upstream, key):
    daemon = launch(upstream, loops=1, policies=[{"name": "org", "per": "org", "limit": "1000000/1s"}])
    bad = [
        (CORPUS / entry["file"]).read_bytes()
        for entry in REQUESTS
        if "refuse" in entry and "payload" not in entry and "eof" not in entry
    ]
    assert len(bad) > 50

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
