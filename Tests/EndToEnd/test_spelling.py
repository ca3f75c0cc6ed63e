# SPDX-License-Identifier: Apache-2.0
"""No generated spelling of a protected path is served without a key, whatever else is open to everybody."""

import random
import re

from fixtures.wire import Connection, ask

#: As unfavourable as it gets: what isn't recognized as one of the two is anybody's.
ROUTES = [
    {"path": "/{rest*}", "public": True},
    {"path": "/api/{id}", "public": True},
    {"path": "/{a}/{b}", "public": True, "throttle": False},
    {"path": "/api/listings"},
    {"path": "/mcp", "mcp": True},
]
PROTECTED = ["/api/listings", "/mcp", "/mcp/messages"]
SLASHES = ["//", "/./", "/x/../", "\\", "%2f", "%5C", "/%2e/", "/%2E%2e/x/", "/;a/", "/.;/"]
ENDS = ["/", "//", "/.", ";a=b", "?", "?x=/..", "%3f", "%23x", "%20", "%00", "%09", ".", "%0d%0a", "#x", ":"]
BEGINNINGS = ["/", "/x/..", "/.", "http://tollgate.test", "HTTP://tollgate.test/", "/%2e", "//tollgate.test"]
COUNT = 3000


def escape(octet: int, chance: random.Random) -> str:
    return chance.choice(["%%%02x", "%%%02X"]) % octet


def spelt(character: str, chance: random.Random) -> str:
    octet = ord(character)
    match chance.randrange(40):
        case 0 | 1 | 2:
            return escape(octet, chance)
        case 3:
            return character.upper()
        case 4:
            return escape(ord("%"), chance) + escape(octet, chance)[1:]
        case 5:
            return escape(0xC0 | octet >> 6, chance) + escape(0x80 | octet & 0x3F, chance)
        case 6 if character == "/":
            return chance.choice(SLASHES)
        case _:
            return character


def spelling(path: str, chance: random.Random) -> str:
    text = "".join(spelt(character, chance) for character in path)
    if chance.random() < 0.3:
        text += chance.choice(ENDS)
    if chance.random() < 0.3:
        text = chance.choice(BEGINNINGS) + text
    return text


def as_the_most_careless_handler_reads_it(target: str) -> str:
    """Everything wrong at once: decodes twice, takes overlong forms, knows no case, no parameters and no blanks."""
    text = re.sub(r"^https?://[^/]*", "", target, flags=re.IGNORECASE)
    for _ in range(2):
        text = re.sub(r"%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    text = re.sub(r"[\xc0\xc1](.)", lambda found: chr((ord(found[0][0]) << 6 | ord(found[1]) & 0x3F) & 0xFF), text)
    text = re.split(r"[?#\0\r\n]", text.lower().replace("\\", "/"))[0]
    segments: list[str] = []
    for part in text.split("/"):
        part = part.split(";")[0].strip(" \t")
        if part == "..":
            segments = segments[:-1]
        elif part not in ("", "."):
            segments.append(part)
    return "/" + "/".join(segments)


def test_no_spelling_of_a_protected_path_is_served_without_a_key(launch, upstream, key):
    daemon = launch(upstream, routes=ROUTES, policies=[])
    chance = random.Random(41)
    answered: dict[int, int] = {}
    concerned = 0
    connection = Connection(daemon.port)
    for _ in range(COUNT):
        target = spelling(chance.choice(PROTECTED), chance)
        concerns = as_the_most_careless_handler_reads_it(target) in PROTECTED
        upstream.requests.clear()
        answer = connection.request("GET", target)
        answered[answer.status] = answered.get(answer.status, 0) + 1
        if concerns:
            concerned += 1
            assert answer.status in (400, 401), target
        if answer.status != 200:
            assert upstream.requests == [], target
        else:
            # What passed is what we judged, byte for byte.
            assert target.endswith(upstream.last.target), target
        if answer.get("Connection") == "close":
            connection.close()
            connection = Connection(daemon.port)
    connection.close()
    # The test is worth something only if it met each of them often.
    assert concerned > COUNT / 3 and min(answered.get(status, 0) for status in (200, 400, 401)) > COUNT / 50, answered
    assert ask(daemon.port, "GET", "/%61pi/listings", key).status == 200
    assert upstream.last.target == "/%61pi/listings"
