# SPDX-License-Identifier: Apache-2.0
"""What our parser accepts, h11 accepts and reads alike: the same corpus and table as CorpusTests.swift."""

import json
from pathlib import Path

import h11
import pytest

CORPUS = Path(__file__).parent
TABLE = json.loads((CORPUS / "expectations.json").read_text())
LIMIT = 1 << 17


def entries(kind, accepted):
    return [
        pytest.param(entry, id=entry["file"])
        for entry in TABLE[kind]
        if ("accept" in entry) == accepted
    ]


def text(octets):
    return bytes(octets).decode("latin-1")


def read(connection, octets, ends):
    """The head, the payload and the trailers of the first message, or None where it isn't whole."""
    connection.receive_data(octets)
    if ends:
        connection.receive_data(b"")
    head, payload = connection.next_event(), b""
    if head in (h11.NEED_DATA, h11.PAUSED):
        return None
    while not isinstance(head, h11.InformationalResponse):
        event = connection.next_event()
        if isinstance(event, h11.Data):
            payload += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            return head, payload, event.headers
        else:
            # A CONNECT or an upgrade pauses h11 behind the head; it has told all it will.
            assert event is h11.PAUSED, event
            break
    return head, payload, []


def server():
    return h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)


def client(method):
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    return connection


def plain(fields):
    """h11 hands framing fields out normalized: the coding in lower case, an equal length once."""
    result = []
    for name, value in fields:
        name = name.lower()
        value = value.lower() if name == "transfer-encoding" else value
        if name != "content-length" or (name, value) not in result:
            result.append((name, value))
    return result


def assert_alike(expected, head, payload, trailers):
    assert text(head.http_version) == expected["version"]
    fields = [(text(name), text(value)) for name, value in head.headers.raw_items()]
    assert plain(fields) == plain(expected["fields"])
    assert text(payload) == expected["body"]
    # We leave out trailers that a handler might take for fields of the head; what we keep is there as it was.
    lines = [tuple(text(part) for part in item) for item in trailers]
    for line in expected["trailers"].split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        assert (name.lower(), value.strip(" \t")) in lines


@pytest.mark.parametrize("entry", entries("requests", True))
def test_request_is_read_alike(entry):
    octets = (CORPUS / entry["file"]).read_bytes()
    if "h11" in entry:
        with pytest.raises(h11.RemoteProtocolError):
            read(server(), octets, False)
        return
    expected = entry["accept"]
    head, payload, trailers = read(server(), octets, False)
    assert text(head.method) == expected["method"]
    assert text(head.target) == expected["target"]
    assert_alike(expected, head, payload, trailers)


@pytest.mark.parametrize("entry", entries("responses", True))
def test_response_is_read_alike(entry):
    octets = (CORPUS / entry["file"]).read_bytes()
    if "h11" in entry:
        with pytest.raises(h11.RemoteProtocolError):
            read(client(entry["method"]), octets, entry["eof"])
        return
    expected = entry["accept"]
    head, payload, trailers = read(client(entry["method"]), octets, entry["eof"])
    assert head.status_code == expected["status"]
    assert text(head.reason) == expected["reason"]
    assert_alike(expected, head, payload, trailers)
