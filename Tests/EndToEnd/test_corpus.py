# SPDX-License-Identifier: Apache-2.0
"""The corpus of raw requests against the built daemon: what it lets through is what independent parsers read of it."""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass

import h11
import httptools
import pytest
from fixtures.programs import ROOT
from fixtures.wire import Closed, Connection, Truncated, ask

CORPUS = ROOT / "Tests/HTTP1Tests/Corpus"
REQUESTS = json.loads((CORPUS / "expectations.json").read_text())["requests"]

#: Well-formed, and yet answered here: methods that are never proxied or are a known one's in other letters, and a credential
#: that is none.
OURS = {"connect.http": 405, "trace.http": 405, "method-lower-case.http": 405, "mcp-post.http": 401}
#: What a server is sent differs from what a proxy is.
ARRIVES_AS = {
    "absolute.http": "/x?y",
    "absolute-case.http": "/x",
    "absolute-without-path.http": "/",
    "absolute-query-alone.http": "/?y=/",
    "absolute-http10-without-host.http": "/",
    "absolute-options.http": "*",
    "absolute-port.http": "/",
    "absolute-port-empty.http": "/x",
}
#: What isn't a plain 400.
STATUS = {"tooLarge": 431, "tooManyFields": 431, "fieldNameTooLong": 431, "unsupportedVersion": 505}


@dataclass(frozen=True)
class Message:
    method: str
    target: str
    body: str


def by_h11(octets: bytes) -> list[Message]:
    """Every whole request of a stream; ends at the first thing that is none."""
    found = []
    while octets:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 18)
        parser.receive_data(octets)
        head, body = parser.next_event(), b""
        if not isinstance(head, h11.Request):
            return found
        while isinstance(event := parser.next_event(), h11.Data):
            body += bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            return found
        found.append(Message(head.method.decode(), head.target.decode("latin-1"), body.decode("latin-1")))
        octets = parser.trailing_data[0]
    return found


class Llhttp:
    """Every whole request of a stream, by the parser of Node.js, which uvicorn uses too."""

    def __init__(self):
        self.found = []
        self.target = self.body = b""

    def on_message_begin(self):
        self.target = self.body = b""

    def on_url(self, url: bytes):
        self.target += url

    def on_body(self, body: bytes):
        self.body += body

    def on_message_complete(self):
        method = self.parser.get_method().decode()
        self.found.append(Message(method, self.target.decode("latin-1"), self.body.decode("latin-1")))

    @classmethod
    def read(cls, octets: bytes) -> list[Message]:
        reader = cls()
        reader.parser = httptools.HttpRequestParser(reader)
        # Behind the head of an upgrade it has told all it will.
        with suppress(httptools.HttpParserUpgrade):
            reader.parser.feed_data(octets)
        return reader.found


def statuses(port: int, entry: dict, expected: int = 0) -> list[int]:
    """What the daemon says to one file of the corpus, and to its end once as many answers have come as are expected."""
    method = entry["accept"]["method"] if "accept" in entry else "POST"
    found = []
    with Connection(port) as connection:
        connection.send((CORPUS / entry["file"]).read_bytes())
        try:
            while True:
                if len(found) == expected:
                    connection.socket.shutdown(socket.SHUT_WR)
                found.append(connection.response(method).status)
        except (Closed, Truncated):
            return found


@pytest.fixture
def open_to_all(launch, upstream):
    return launch(upstream, routes=None, keys={"anonymous": "allow"}, policies=[])


def requests(outcome: str) -> list[dict]:
    found = [entry for entry in REQUESTS if outcome in entry]
    assert len(found) > 50
    return found


def test_what_is_well_formed_arrives_as_every_parser_reads_it(open_to_all, upstream):
    for entry in requests("accept"):
        accepted = entry["accept"]
        name = entry["file"].removeprefix("requests/")
        upstream.streams.clear()
        if name in OURS:
            assert (statuses(open_to_all.port, entry, 1), upstream.streams) == ([OURS[name]], {}), name
            continue
        expected = [Message(accepted["method"], ARRIVES_AS.get(name, accepted["target"]), accepted["body"])]
        expected += by_h11(accepted["rest"].encode("latin-1"))
        assert statuses(open_to_all.port, entry, len(expected)) == [200] * len(expected), name
        # One after the other: the first of pipelined requests is answered before the next is sent.
        arrived = b"".join(upstream.streams.values())
        assert by_h11(arrived) == expected, name
        if "llhttp" not in entry:
            assert Llhttp.read(arrived) == expected, name
    assert upstream.broken == []


def test_of_what_is_not_no_whole_request_arrives(open_to_all, upstream):
    for entry in requests("refuse"):
        reason = entry["refuse"]
        name = entry["file"].removeprefix("requests/")
        upstream.streams.clear()
        said = statuses(open_to_all.port, entry)
        assert said == ([] if entry.get("eof") else [STATUS.get(reason, 400)]), name
        upstream.await_end()
        # Of a body that turns bad later a part may have arrived, of a bad head nothing.
        arrived = [octets for octets in upstream.streams.values() if octets]
        assert arrived == [] or "payload" in entry or reason == "truncated", name
        for octets in arrived:
            assert by_h11(octets) == Llhttp.read(octets) == [], name
    assert upstream.requests == []
    # The next caller finds everything as it was.
    assert ask(open_to_all.port, "GET", "/next").status == 200
    assert [request.target for request in upstream.requests] == ["/next"]
