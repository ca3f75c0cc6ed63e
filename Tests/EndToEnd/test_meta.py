# SPDX-License-Identifier: Apache-2.0
"""What operators note about organizations and keys, and what of it the handler gets."""

import json

import pytest

from fixtures.wire import Connection, ask, until

PATH = "/api/listings"
SAID = {"forward_meta": ["tier", "home_region", "seats"]}


def noted(request) -> dict[str, str]:
    """In whatever spelling, as a handler that reads fields as CGI does."""
    fields = [(name.lower().replace("_", "-").replace(".", "-"), value) for name, value in request.fields]
    found = [(name, value) for name, value in fields if name.startswith("x-tollgate-meta")]
    assert len(dict(found)) == len(found)
    return {name.removeprefix("x-tollgate-meta-"): value for name, value in found}


def test_the_handler_gets_what_is_listed(launch, upstream, ctl):
    daemon = launch(upstream, keys=SAID)
    ctl("org", "create", "acme", "--meta", '{"tier": "gold", "seats": 5, "secret": "x"}')
    issued = ctl.issue("acme", "laptop", "--meta", '{"tier":"silver","home_region":"eu-1"}')
    plain = ctl.issue("acme", "plain")
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    assert noted(upstream.last) == {"tier": "silver", "seats": "5", "home-region": "eu-1"}
    assert ask(daemon.port, "GET", PATH, plain["key"]).status == 200
    assert noted(upstream.last) == {"tier": "gold", "seats": "5"}
    # Who has no key is nobody of whom anything is noted.
    assert ask(daemon.port, "GET", "/open").status == 200
    assert noted(upstream.last) == {}


def test_a_change_holds_from_the_next_request_on(launch, upstream, ctl):
    daemon = launch(upstream, keys=SAID)
    issued = ctl.issue()
    answers = []
    for command in (
        ("org", "set", "acme", "--meta", '{"tier":"gold"}'),
        ("key", "set", issued["id"], "--meta", '{"tier":"silver"}'),
        ("key", "set", issued["id"], "--meta", "{}"),
        ("org", "set", "acme", "--meta", "{}"),
    ):
        ctl(*command)
        assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
        answers.append(noted(upstream.last))
    assert answers == [{"tier": "gold"}, {"tier": "silver"}, {"tier": "gold"}, {}]
    rotated = json.loads(ctl("key", "rotate", issued["id"], "--json"))
    ctl("key", "set", rotated["id"], "--meta", '{"tier":"bronze"}')
    assert ask(daemon.port, "GET", PATH, rotated["key"]).status == 200
    assert noted(upstream.last) == {"tier": "bronze"}


SPELLINGS = ["X-Tollgate-Meta-tier", "x_tollgate_meta_tier", "X-TOLLGATE_META-TIER", "X.Tollgate.Meta.Tier",
             "X-Tollgate-Meta-Other"]


@pytest.mark.parametrize("has_meta", [True, False])
def test_nobody_else_says_it(launch, upstream, ctl, folder, has_meta):
    path = folder / "listener"
    daemon = launch(upstream, keys=SAID if has_meta else {}, listen=["127.0.0.1:0", f"unix:{path}"],
                    trusted_proxies=["127.0.0.0/8", "unix"])
    issued = ctl.issue("acme", "laptop", *(["--meta", '{"tier":"gold"}'] if has_meta else []))
    expected = {"tier": "gold"} if has_meta else {}
    for name in SPELLINGS:
        for listener in (daemon.port, str(path)):
            fields = {name: "forged"}
            assert ask(listener, "GET", PATH, issued["key"], fields=fields).status == 200
            assert noted(upstream.last) == expected, name
            assert ask(listener, "GET", "/open", fields=fields).status == 200
            assert noted(upstream.last) == {}, name
    lines = "".join(f"{name}: forged\r\n" for name in SPELLINGS)
    with Connection(daemon.port) as connection:
        connection.send(
            f"POST {PATH} HTTP/1.1\r\nHost: h\r\nX-API-Key: {issued['key']}\r\nTransfer-Encoding: chunked\r\n"
            f"Trailer: X-Tollgate-Meta-tier\r\n\r\n1\r\nx\r\n0\r\n{lines}\r\n".encode()
        )
        assert connection.response().status == 200
    assert noted(upstream.last) == expected


def test_what_no_field_can_say_is_left_out_and_logged(launch, upstream, ctl):
    daemon = launch(upstream, keys=SAID, loops=1)
    meta = {"tier": "a\r\nX-Evil: 1", "home_region": ["eu"], "seats": "x" * 256}
    issued = ctl.issue("acme", "laptop", "--meta", json.dumps(meta))
    for _ in range(3):
        assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
        assert noted(upstream.last) == {"seats": "x" * 256}
        assert upstream.last.get("X-Evil") is None
    until(lambda: daemon.times_said("meta left out") >= 2, "the log")
    assert daemon.times_said("meta left out: the handler is not told this one") == 2
    assert "X-Evil" not in daemon.said()


def test_a_reload_lists_others(launch, upstream, ctl):
    daemon = launch(upstream)
    issued = ctl.issue("acme", "laptop", "--meta", '{"tier":"gold"}')
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    assert noted(upstream.last) == {}
    daemon.reload(keys=SAID)
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    assert noted(upstream.last) == {"tier": "gold"}


def test_keys_live_no_longer_than_their_organization_lets_them(launch, upstream, ctl, redis):
    daemon = launch(upstream)
    ctl("org", "create", "acme", "--max-lifetime", "90d")
    refused = ctl.run("key", "issue", "--org", "acme", "--name", "a", "--expires", "91d")
    assert refused.returncode == 73
    assert refused.stderr == (
        "tollgatectl: keys of organization acme live at most 90d, and this one would live longer; give --expires 90d, or "
        "let them live longer with: tollgatectl org set acme --max-lifetime TIME\n"
    )
    issued = ctl.issue()
    assert issued["expires_at"] is not None
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    # It ends where the clock of the record has come to.
    record = f"tg:1:{{acme}}:k:{issued['id'].partition('/')[2]}"
    redis("HSET", record, "expires_at", int(redis("TIME")[0]) - 1)
    redis("HSET", "tg:1:{acme}", "rev", "0123456789abcdef")
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 401


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gold", "it is no JSON at offset 0"), ("[1]", "it is no object"), ('{"a":1,"a":2}', "it has the member a twice"),
        ('{"a":"%s"}' % ("x" * 1017), "it has 1025 bytes"),
    ],
)
def test_what_is_no_meta_is_64(ctl, text, why):
    for command in (("org", "create", "acme"), ("org", "set", "acme"), ("key", "set", "acme/aaaaaaaaaa")):
        refused = ctl.run(*command, "--meta", text)
        assert (refused.returncode, refused.stdout) == (64, "")
        assert "expected a JSON object of at most 1024 bytes such as '{\"tier\":\"gold\"}'; " + why in refused.stderr
    assert ctl.run("org", "show", "acme").returncode == 66
