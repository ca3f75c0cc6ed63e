# SPDX-License-Identifier: Apache-2.0
"""docs/threat-model.md: attacks that no other test tries, what it says is not defended, and that what it cites is there."""

import base64
import re

import pytest
from fixtures.programs import ROOT
from fixtures.wire import Connection, ask, request_bytes

DOCUMENT = (ROOT / "docs/threat-model.md").read_text()
#: Limits that no test here reaches.
WIDE = [{"name": name, "per": name, "limit": "1000000/1s"} for name in ("address", "org")]


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, without their heads."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S)[1]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| attack |")]


ATTACKS = rows("Attacks and answers")


def test_every_attack_cites_what_shows_the_answer():
    assert len(ATTACKS) > 50
    for row in ATTACKS:
        assert len(row) == 3 and re.search(r"`[\w/]+(?:\.py::|\.)\w+`", row[2]), row


@pytest.mark.parametrize("row", ATTACKS, ids=lambda row: re.sub(r"\W+", "-", row[0])[:60])
def test_what_an_attack_cites_is_there(row):
    for cited in re.findall(r"`([^`]+)`", row[2]):
        if "::" in cited:
            file, _, name = cited.partition("::")
            text, definition = (ROOT / "Tests/EndToEnd" / file).read_text(), rf"^def {name}\("
        else:
            suite, _, name = cited.partition(".")
            found = [file.read_text() for file in (ROOT / "Tests").glob(f"*Tests/{suite}*.swift")]
            assert found, cited
            text, definition = "\n".join(found), rf"func {name}\("
        assert re.search(definition, text, re.M), cited


def test_what_is_not_defended_names_cases_of_this_file():
    named = re.findall(r"`(test_\w+)`", DOCUMENT[DOCUMENT.index("## Not defended") :])
    assert len(named) >= 4 and all(name in globals() for name in named)


# Attacks


def test_a_credential_ends_with_its_request(launch, upstream, key):
    daemon = launch(upstream, policies=WIDE)
    with Connection(daemon.port) as connection:
        for fields in ({"X-API-Key": key}, {}, {"X-API-Key": key}, {}):
            connection.send(request_bytes("GET", "/api/listings", fields))
        assert [connection.response().status for _ in range(4)] == [200, 401, 200, 401]
    assert len(upstream.requests) == 2


def test_a_key_elsewhere_than_in_its_field_is_none(launch, upstream, key):
    daemon = launch(upstream, policies=WIDE)
    basic = base64.b64encode(f"key:{key}".encode()).decode()
    attempts = [
        (f"/api/listings?api_key={key}", {}),
        ("/api/listings", {"Cookie": f"X-API-Key={key}"}),
        ("/api/listings", {"Authorization": f"Basic {basic}"}),
        ("/api/listings", {"Proxy-Authorization": f"Bearer {key}"}),
        ("/api/listings", {"X-API-Key": key[:-1]}),
        ("/api/listings", {"X-API-Key": key.upper()}),
        ("/api/listings", {"X-API-Key": f"{key}, {key}"}),
    ]
    answers = [ask(daemon.port, "GET", target, fields=fields) for target, fields in attempts]
    assert [answer.status for answer in answers] == [401] * len(attempts)
    assert upstream.received == b""
    # Nor is it in the log, where queries aren't.
    assert all(key not in str(line) for line in daemon.lines(len(attempts)))


def test_who_is_refused_learns_nothing_about_the_key(launch, upstream, ctl):
    daemon = launch(upstream, policies=WIDE)
    revoked, expired, suspended = ctl.issue(), ctl.issue("acme", "short", "--expires", "1s"), ctl.issue("other")
    ctl.revoke(revoked["id"])
    ctl("org", "suspend", "other")
    told = set()
    for one in ("mcp_" + "A" * 43, revoked["key"], expired["key"], suspended["key"]):
        answer = ask(daemon.port, "GET", "/api/listings", one)
        while answer.status == 200:
            answer = ask(daemon.port, "GET", "/api/listings", one)
        document = answer.json()
        del document["correlation_id"]
        fields = {name for name, _ in answer.fields}
        told.add((answer.status, str(document), answer["WWW-Authenticate"], frozenset(fields)))
    assert len(told) == 1, told
    assert ("401", "Invalid or inactive API key") == (str(next(iter(told))[0]), document["detail"])


@pytest.mark.parametrize("routes", [None, [{"path": "/api/listings"}]])
def test_no_target_leads_to_the_admin_address(launch, upstream, key, routes):
    daemon = launch(upstream, routes=routes, policies=WIDE)
    own = {"Host": f"127.0.0.1:{daemon.admin}"}
    for target in ("/status", f"http://127.0.0.1:{daemon.admin}/status"):
        answer = ask(daemon.port, "GET", target, key, fields=own)
        assert answer.status == (404 if routes else 200)
        # Where every path is the handler's, that is who answers.
        assert b"listeners" not in answer.body and b"uptime_seconds" not in answer.body
    assert [request.target for request in upstream.requests] == ([] if routes else ["/status"] * 2)


def test_redis_holds_nothing_that_a_caller_could_present(launch, upstream, ctl, redis):
    issued = ctl.issue()
    daemon = launch(upstream, policies=WIDE)
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200
    read = {
        b"string": ("GET",),
        b"hash": ("HGETALL",),
        b"set": ("SMEMBERS",),
        b"zset": ("ZRANGE", 0, -1),
        b"stream": ("XRANGE", "-", "+"),
    }
    names = redis.names()
    assert len(names) > 5
    for name in names:
        kind = redis("TYPE", name)
        command, *rest = read[kind if isinstance(kind, bytes) else kind.encode()]
        secret = issued["key"].removeprefix("mcp_")
        assert secret not in name and secret not in str(redis(command, name, *rest)), name


def test_letters_that_only_unicode_takes_for_others_are_no_way_past(launch, upstream, key):
    """Some handlers ignore case by Unicode, where `ſ` is `s`."""
    routes = [{"path": "/tasks"}, {"path": "/{rest*}", "public": True}]
    daemon = launch(upstream, routes=routes, policies=WIDE)
    for path in ("/ta%C5%BFks", "/tas%E2%84%AAs", "/TA%c5%bfKS/", "/tas%E2%84%AA%C5%BF.json"):
        assert ask(daemon.port, "GET", path).status == 401, path
        assert upstream.received == b""
    assert ask(daemon.port, "GET", "/ta%C5%BFks", key).status == 200


# What is not defended


def test_a_wildcard_that_is_public_opens_what_looks_like_a_protected_path(launch, upstream):
    routes = [{"path": "/tasks"}, {"path": "/{rest*}", "public": True}]
    daemon = launch(upstream, routes=routes, policies=WIDE)
    for path in ("/%EF%BD%94asks", "/tasks%E2%80%8B", "/tasks/index.html"):
        assert ask(daemon.port, "GET", path).status == 200, path


def test_other_peoples_identity_fields_pass(launch, upstream, key):
    daemon = launch(upstream, policies=WIDE)
    claims = {"Remote-User": "root", "X-Auth-Request-User": "root", "X-Client-Cert": "root"}
    assert ask(daemon.port, "GET", "/api/listings", key, fields=claims).status == 200
    assert [upstream.last.get(name) for name in claims] == ["root"] * 3


def test_programs_of_this_machine_choose_the_address_they_count_as(launch, upstream):
    policies = [{"name": "address", "per": "address", "limit": "1/1h"}]
    for trusted, expected in ((None, [401, 401, 401]), ([], [401, 429, 429])):
        daemon = launch(upstream, policies=policies, **({} if trusted is None else {"trusted_proxies": trusted}))
        claimed = [{"X-Forwarded-For": f"203.0.113.{place}"} for place in range(3)]
        assert [ask(daemon.port, "GET", "/api/listings", fields=fields).status for fields in claimed] == expected


def test_anybody_can_find_out_which_routes_there_are(launch, upstream):
    daemon = launch(upstream, policies=WIDE)
    methods = [("GET", "/api/listings"), ("PUT", "/api/listings"), ("GET", "/api/nothing")]
    assert [ask(daemon.port, method, path).status for method, path in methods] == [401, 405, 404]
