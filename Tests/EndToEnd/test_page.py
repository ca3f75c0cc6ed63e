# SPDX-License-Identifier: Apache-2.0
"""The page for operators, in a browser, of real sidecars: what a load did is what it shows, to the call."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures import noted
from fixtures.browser import MARKUP
from fixtures.ports import free_port
from fixtures.upstream import echo, reply
from fixtures.wire import Connection, ask, request_bytes, until


def pipelined(port: int, requests: list[bytes]) -> list[int]:
    """The statuses of requests on one connection, a hundred under way."""
    statuses = []
    with Connection(port) as client:
        for first in range(0, len(requests), 100):
            some = requests[first : first + 100]
            client.send(b"".join(some))
            statuses += [client.response().status for _ in some]
    return statuses


# ---- A real sidecar, and a known load --------------------------------------------------------------------------------

POLICIES = [
    {"name": "org", "per": "org", "limit": "25/1h", "burst": 25},
    {"name": "trial", "per": "key", "limit": "10/1h", "burst": 10, "mode": "shadow"},
]


def failing(request, _):
    return reply(status="500 Internal Server Error") if "broken" in request.target else echo(request)


@pytest.fixture
def loaded(launch, upstream, ctl):
    """Of acme 25 calls that are allowed, four of which the handler fails, and 5 denied; of globex 12; 3 without a key,
    2 to no route."""
    upstream.behaviour = failing
    acme, globex = ctl.issue("acme", "laptop"), ctl.issue("globex", "desk")
    daemon = launch(upstream, policies=POLICIES)
    statuses = [
        ask(daemon.port, "GET", f"/files/{'broken' if turn < 4 else turn}", acme["key"]).status for turn in range(25)
    ]
    statuses += [ask(daemon.port, "GET", "/api/listings", acme["key"]).status for _ in range(5)]
    statuses += [ask(daemon.port, "GET", "/api/listings", globex["key"]).status for _ in range(12)]
    statuses += [ask(daemon.port, "GET", "/api/listings").status for _ in range(3)]
    statuses += [ask(daemon.port, "GET", "/nowhere", globex["key"]).status for _ in range(2)]
    assert [statuses.count(status) for status in (500, 200, 429, 401, 404)] == [4, 33, 5, 3, 2]
    return daemon, acme, globex


def shows_the_load(browser, daemon, acme, globex):
    browser.shows("status", "✓ Ready")
    browser.shows("requests-more", "47 in 15 min")
    browser.shows("denied-more", "5 in 15 min, 10.6 %")
    browser.shows("refused-more", "5 in 15 min, 10.6 %")
    browser.shows("failed-more", "4 in 15 min, 8.5 %")
    browser.charted("policies", "org", "25/h per org: 37 allowed, 5 denied in 15 min")
    # A call that another policy denies is charged to nobody.
    browser.charted("policies", "trial", "", "37 allowed, 0 denied, would have denied 17 in 15 min")
    browser.charted("routes", "/files/{rest*}", "25 requests, 0 denied, p99 ")
    browser.charted("routes", "/api/listings", "20 requests, 5 denied, p99 ")
    browser.charted("routes", "no route", "2 requests, 0 denied")
    browser.shows("trial-table", "17 of 37")
    assert browser.rows("trial-table")[0][:2] == ["trial", "shadow"]
    assert browser.rows("trial-table")[0][2].startswith("17 of 37")
    until(lambda: len(browser.rows("refusals")) >= 10, "the refusals")
    logged = [line for line in daemon.lines() if line["status"] in (429, 401, 404)]
    refused = browser.rows("refusals")
    assert {row[7] for row in refused} >= {line["correlation_id"] for line in logged}
    assert {(row[1], row[2]) for row in refused} == {
        ("429", "rate_limited"),
        ("401", "missing"),
        ("404", "unknown_route"),
    }
    # Whose key it was isn't asked where there is no route.
    browser.has_rows("callers", [acme["id"], "30"], [globex["id"], "12"])
    browser.has_rows("organizations", ["acme", "30"], ["globex", "12"])
    browser.has_rows("denied", [acme["id"], "5"])
    browser.has_rows("denied-organizations", ["acme", "5"])


def test_what_a_load_did_is_what_the_page_shows(browser, loaded):
    daemon, acme, globex = loaded
    browser.open(daemon.admin)
    shows_the_load(browser, daemon, acme, globex)
    # What the charts draw, their tables count.
    browser.unfold()
    until(lambda: browser.rows("traffic-charts figure:first-child"), "the table of the chart")
    minutes = browser.rows("traffic-charts figure:first-child")
    assert [sum(int(row[place]) for row in minutes) for place in (1, 2, 3, 4)] == [33, 5, 5, 4]
    until(lambda: len(browser.rows("policy-table")) >= 2, "the table of policies")
    assert browser.rows("policy-table")[0] == ["org", "25/h", "org", "enforce", "37", "5", "0"]
    # Nothing that a page shows lets anybody in.
    source = browser.run("return document.documentElement.outerHTML")
    assert not noted.in_text(source) and acme["key"] not in source
    # It has its history when it is opened late, and counts what comes after.
    browser.driver.refresh()
    shows_the_load(browser, daemon, acme, globex)
    assert ask(daemon.port, "GET", "/api/listings", globex["key"]).status == 200
    browser.shows("requests-more", "48 in 15 min")


def test_redis_that_is_killed_is_red_and_comes_back(browser, launch, upstream, redis, key):
    daemon = launch(upstream, policies=POLICIES)
    browser.open(daemon.admin)
    browser.shows("status", "✓ Ready")
    redis.kill()
    browser.shows("status", "✕ Redis unavailable, since ")
    assert browser.run("return document.getElementById('status').className") == "bad"
    assert browser.driver.title.startswith("✕ redis unavailable · ")
    browser.shows("redis-facts", "✕ unreachable")
    redis.start()
    browser.shows("status", "✓ Ready")


@pytest.mark.parametrize("may_be_gone", [True])
def test_a_sidecar_that_is_gone_is_told_of_and_comes_back(browser, launch, upstream, key):
    daemon = launch(upstream, policies=POLICIES, admin=f"127.0.0.1:{free_port()}")
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    browser.open(daemon.admin)
    browser.shows("requests-more", "1 in 15 min")
    daemon.stop()
    browser.shows("status", "✕ The sidecar doesn't answer, since ")
    assert browser.text("link") == "No answer" and browser.driver.title.startswith("✕ no answer")
    daemon.stderr.write_text("")
    daemon.start()
    daemon.wait_until_ready()
    browser.shows("status", "✓ Ready")
    # It has counted nothing yet.
    browser.shows("requests-more", "0 in 15 min")


def test_sidecars_with_other_policies_are_red(browser, launch, upstream, key):
    first = launch(upstream, policies=POLICIES)
    browser.open(first.admin)
    browser.shows("fleet-note", "1 sidecar, of one version, with one set of policies")
    second = launch(upstream, policies=POLICIES[:1])
    browser.shows("problems", "✕ Sidecars of the fleet count by 2 sets of policies.")
    browser.shows("fleet-note", "✕ They differ")
    assert sum("✕" in row[2] for row in browser.rows("fleet-table")) == 1
    assert browser.driver.title.startswith("✕ ")
    second.stop()
    browser.shows("fleet-note", "1 sidecar,")


def test_a_reload_that_fails_is_red_and_its_words_stay_words(browser, launch, upstream, key):
    daemon = launch(upstream, policies=POLICIES)
    browser.open(daemon.admin)
    browser.shows("configuration-facts", str(daemon.config))
    daemon.write(f"loops: '{MARKUP}'\n")
    browser.shows("problems", "✕ The last reload failed, all stays as it was: ", "loops: expected a whole number")
    assert MARKUP in browser.text("problems"), browser.text("problems")
    assert browser.run("return [window.hacked ?? null, document.querySelectorAll('main img, main script').length]") == [
        None,
        0,
    ]
    daemon.reload(policies=[{"name": "other", "per": "org", "limit": "5/1h"}])
    browser.shows("problems", "Nothing needs you.")
    until(lambda: "other" in browser.charts("policies"), "the chart of the new policy")


def many_keys(redis, issued: dict, count: int) -> list[str]:
    """Copies of an issued key, each with a secret and an ID of its own."""
    record = f"tg:1:{{acme}}:k:{issued['id'].partition('/')[2]}"
    fields = redis("HGETALL", record)
    fields = dict(zip(fields[::2], fields[1::2], strict=True))
    keys, commands = [], []
    for number in range(count):
        key, name = f"mcp_{number:043}", f"k{number:09}"
        noted.note(key)
        digest = hashlib.sha256(key.encode()).hexdigest()
        copied = {**fields, b"key_hash": digest, b"subject": name, b"name": name}
        commands.append(("SET", f"tg:1:cred:{digest}", f"acme {name}"))
        commands.append(("HSET", f"tg:1:{{acme}}:k:{name}", *(part for pair in copied.items() for part in pair)))
        keys.append(key)
    for first in range(0, len(commands), 1000):
        redis.all(commands[first : first + 1000])
    return keys


def test_ten_thousand_keys(browser, launch, upstream, redis, ctl):
    keys = many_keys(redis, ctl.issue(), 10_000)
    each = [{"name": "each", "per": "key", "limit": "3/1h", "burst": 3}]
    # So many are asked about at once that a busy machine takes its time.
    daemon = launch(upstream, policies=each, keys={"check": "off"}, redis_settings={"timeout": "10s"})
    browser.open(daemon.admin)
    browser.shows("status", "✓ Ready")
    calls = [request_bytes("GET", "/api/listings", {"X-API-Key": key}) for key in keys]
    with ThreadPoolExecutor(8) as callers:
        parts = callers.map(lambda part: pipelined(daemon.port, calls[part::8]), range(8))
        statuses = [status for part in parts for status in part]
    statuses += pipelined(daemon.port, [calls[77]] * 40)
    assert (statuses.count(200), statuses.count(429)) == (10_002, 38)
    browser.shows("requests-more", "10,040 in 15 min")
    browser.shows("denied-more", "38 in 15 min")
    browser.charted("policies", "each", "3/h per key: 10,002 allowed, 38 denied")
    browser.has_rows("denied", ["acme/k000000077", "38"])
    browser.has_rows("organizations", ["acme", "10,040"])
    callers = browser.rows("callers")
    assert len(callers) <= 20 and "acme/k000000077" in [row[0] for row in callers]
    until(lambda: len(browser.rows("refusals")) == 38, "the refusals")
    assert browser.run("return document.querySelectorAll('*').length") < 5000
