# SPDX-License-Identifier: Apache-2.0
"""The page that operators keep open: who may read it, and that what it is told is what happened, to the call."""

import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.page_events import PageEvents
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, until

ORG = {"name": "org", "per": "org", "limit": "1000000/7d"}
#: As many pages as may be open.
MOST = 16


# ---- What a load did -------------------------------------------------------------------------------------------------


def classes(statuses: Counter, foreign: int) -> dict[str, int]:
    """What becomes of requests by their statuses, of which so many 404s are the handler's own."""
    failed = sum(count for status, count in statuses.items() if status >= 500)
    denied = statuses[429]
    refused = statuses[401] + statuses[404] + statuses[405] - foreign
    return {
        "allowed": sum(statuses.values()) - failed - denied - refused,
        "denied": denied,
        "refused": refused,
        "failed": failed,
    }


def test_what_a_load_did_is_what_the_page_is_told(launch, upstream, ctl, key):
    upstream.behaviour = lambda request, _: {
        "/api/listings/500": reply(b"", "500 Internal Server Error"),
        "/api/listings/404": reply(b"", "404 Not Found"),
        "/api/listings/cut": None,
    }.get(request.target, reply())
    policies = [
        {"name": "org", "per": "org", "limit": "300/7d"},
        {"name": "trial", "per": "key", "limit": "100/7d", "mode": "shadow"},
        {"name": "address", "per": "address", "limit": "100000/7d"},
    ]
    daemon = launch(upstream, policies=policies)
    early = PageEvents(daemon.admin)
    early.until(lambda page: page.state, "the first state")
    targets = (
        [("GET", "/api/listings", key)] * 180
        + [("POST", "/api/listings", key)] * 60
        + [("GET", "/api/listings/404", key), ("GET", "/api/listings/500", key), ("GET", "/api/listings/cut", key)] * 20
        + [("GET", "/api/listings", None), ("GET", "/nothing", key), ("PUT", "/api/listings", key)] * 15
        + [("GET", "/open", None)] * 10
    )

    def run(part: list) -> list[tuple[int, str]]:
        answers = []
        for method, target, credential in part:
            answer = ask(daemon.port, method, target, credential)
            answers.append((answer.status, target))
        return answers

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for part in pool.map(run, [targets[start::4] for start in range(4)]) for answer in part]
    # What is left of the bucket of 300, and beyond it.
    answers += run([("GET", "/api/listings", key)] * 40)
    statuses = Counter(status for status, _ in answers)
    assert statuses[429] > 0 and statuses[502] > 0
    foreign = sum(1 for status, target in answers if (status, target) == (404, "/api/listings/404"))
    expected = classes(statuses, foreign)
    late = PageEvents(daemon.admin)
    for page in (early, late):
        page.until(lambda page: page.requests() >= len(answers), "the whole load")
        seen = len(page.samples)
        # And nothing more afterwards.
        page.until(lambda page, seen=seen: len(page.samples) >= seen + 2, "two more seconds")
        assert page.totals() == expected
        assert sorted(page.samples) == list(range(min(page.samples), max(page.samples) + 1))
        routes = page.by("routes")
        assert sum(count for count, _ in routes.values()) == len(answers)
        assert sum(denied for _, denied in routes.values()) == statuses[429]
        listed = [status for status, target in answers if target == "/api/listings"]
        # Those of an unknown method have no route.
        assert routes["/api/listings"] == [len(listed) - statuses[405], listed.count(429)]
        assert routes["/open"] == [10, 0]
        assert routes[""] == [30, 0]
        single = [status for status, target in answers if target.startswith("/api/listings/")]
        assert routes["/api/listings/{id}"] == [len(single), single.count(429)]
        admitted, denied, _ = page.by("policies")["org"]
        assert (admitted, denied) == (300, statuses[429])
        # Enforced, it would have refused all but a hundred of those that were admitted.
        assert page.by("policies")["trial"] == [100, 0, 200]
        handled, broken = page.exchanges("handler")
        assert broken == statuses[500] + statuses[502]
        assert handled == 300 + 10
        assert page.exchanges("redis")[0] > 0 and page.exchanges("redis")[1] == 0
        page.until(
            lambda page: sum(page.state["trial"][0][name] for name in ("would_have_refused", "would_have_allowed")) == 300,
            "the whole trial",
        )
        (trial,) = page.state["trial"]
        assert trial | {"since": 0} == {
            "policy": "trial", "would_have_refused": 200, "would_have_allowed": 100, "since": 0,
        }  # fmt: skip
        assert page.hello["started"] <= trial["since"] <= page.hello["now"]
        page.close()
    # Both were told the same, however late they came.
    both = early.samples.keys() & late.samples.keys()
    assert all(early.samples[at] == late.samples[at] for at in both)
    assert len([at for at in both if early.samples[at]["allowed"]]) >= 1


def test_who_calls_most_and_what_was_refused(launch, upstream, ctl, key):
    other = ctl.issue("beta", "server")
    own = ctl.issue("acme", "second")
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "30/7d"}])
    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state, "the first state")
        for _ in range(40):
            assert ask(daemon.port, "GET", "/api/listings", other["key"]).status in (200, 429)
        for _ in range(25):
            assert ask(daemon.port, "GET", "/api/listings", own["key"]).status == 200
        assert ask(daemon.port, "GET", "/api/listings", "mcp_" + "a" * 43).status == 401
        last = [ask(daemon.port, "GET", "/api/listings", other["key"]) for _ in range(60)]
        assert all(answer.status == 429 for answer in last)
        page.until(
            lambda page: page.state["top"] and sum(one["count"] for one in page.state["top"]["callers"]) == 125,
            "all callers",
        )
        top = page.state["top"]
        assert top["callers"] == [
            {"key": other["id"], "organization": "beta", "count": 100, "error": 0},
            {"key": own["id"], "organization": "acme", "count": 25, "error": 0},
        ]
        assert top["organizations"] == [
            {"organization": "beta", "count": 100, "error": 0}, {"organization": "acme", "count": 25, "error": 0},
        ]  # fmt: skip
        assert top["denied"] == [{"key": other["id"], "organization": "beta", "count": 70, "error": 0}]
        assert top["denied_organizations"] == [{"organization": "beta", "count": 70, "error": 0}]
        assert top["since"] <= page.hello["now"]
        refusals = page.state["refusals"]
        assert len(refusals) == 50
        assert [one["id"] for one in refusals] == [answer["X-Correlation-ID"] for answer in reversed(last[10:])]
        newest = refusals[0]
        assert newest | {"at": 0, "id": ""} == {
            "at": 0, "status": 429, "reason": "rate_limited", "policy": "org", "route": "/api/listings",
            "organization": "beta", "key": other["id"], "client": "127.0.0.1", "id": "",
        }  # fmt: skip
        assert abs(newest["at"] - time.time()) < 60
        # As the access log has it.
        ask(daemon.port, "GET", "/nothing", fields={"X-Correlation-ID": "mine.1"})
        page.until(lambda page: page.state["refusals"][0]["id"] == "mine.1", "the last refusal")
        assert page.state["refusals"][0]["reason"] == "unknown_route"
        daemon.terminate()
        page.rest()
    daemon.wait()
    logged = [json.loads(line) for line in daemon.access.read_text().splitlines()]
    by_id = {line["correlation_id"]: line for line in logged}
    for one in page.state["refusals"]:
        line = by_id[one["id"]]
        assert [one[name] for name in ("status", "reason", "policy", "route", "organization", "key", "client")] == [
            line.get(name) for name in ("status", "reason", "policy", "route", "org", "key_id", "client")
        ]


def test_a_stream_counts_when_it_begins_and_is_open_until_it_ends(launch, upstream, key):
    def events(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        while connection.recv(1024):
            pass

    upstream.behaviour = events
    daemon = launch(upstream, policies=[ORG])
    with PageEvents(daemon.admin) as page:
        with socket.create_connection(("127.0.0.1", daemon.port)) as client:
            client.sendall(
                f"GET /api/listings HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nX-API-Key: {key}\r\n\r\n".encode()
            )
            page.until(lambda page: list(page.samples.values())[-1:] and page.sum("allowed") == 1, "the stream")
            last = page.until(lambda page: list(page.samples.values())[-1], "another second")
            page.until(lambda page: list(page.samples.values())[-1]["streams"] == 1, "the stream being open")
            assert last["connections"] == 1
        page.until(lambda page: list(page.samples.values())[-1]["streams"] == 0, "its end")
        assert page.requests() == 1
        assert all(sample["p50"] is None for sample in page.samples.values())


# ---- What it tells of the sidecar ------------------------------------------------------------------------------------


def test_a_reload_is_told(launch, upstream):
    daemon = launch(upstream, policies=[ORG])
    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state, "the first state")
        before = page.state["configuration"]
        assert (before["last_reload"], before["warnings"]) == (None, [])
        assert {"name": "org", "per": "org", "limit": "1000000/7d", "mode": "enforce"} in page.hello["policies"]
        assert page.hello["listeners"] == [f"127.0.0.1:{daemon.port}"]
        page_policy = {"allow_origins": ["*"], "allow_credentials": False}
        daemon.reload(
            policies=[{"name": "other", "per": "key", "limit": "5/1m", "mode": "shadow"}],
            cors=page_policy, mcp={"origins": ["https://a.example"]},
        )  # fmt: skip
        page.until(lambda page: page.state["configuration"]["hash"] != before["hash"], "the other configuration")
        page.until(lambda page: page.hellos == 2, "the other policies")
        assert {"name": "other", "per": "key", "limit": "5/m", "mode": "shadow"} in page.hello["policies"]
        assert page.state["configuration"]["last_reload"]["ok"] is True
        (warning,) = page.state["configuration"]["warnings"]
        assert "cors.allow_origins" in warning
        daemon.write("loops: nonsense\n")
        page.until(lambda page: page.state["configuration"]["last_reload"]["ok"] is False, "the failed reload")
        assert "loops: expected a whole number" in page.state["configuration"]["last_reload"]["errors"][0]


def test_a_trial_begins_anew_with_its_policy(launch, upstream, key):
    """What another limit would have refused says nothing of this one; a policy that is enforced is in no trial."""
    trial = {"name": "trial", "per": "key", "limit": "5/7d", "mode": "shadow"}
    steady = {"name": "steady", "per": "org", "limit": "4/7d", "mode": "shadow"}
    daemon = launch(upstream, policies=[ORG, trial, steady])

    def counts(page: PageEvents) -> dict[str, int]:
        return {one["policy"]: one["would_have_refused"] for one in page.state["trial"]}

    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state, "the first state")
        for _ in range(10):
            assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        page.until(lambda page: counts(page) == {"trial": 5, "steady": 6}, "both trials")
        began = {one["policy"]: one["since"] for one in page.state["trial"]}
        daemon.reload(policies=[ORG, trial | {"limit": "1000/7d"}, steady])
        page.until(lambda page: counts(page) == {"trial": 0, "steady": 6}, "the other limit")
        since = {one["policy"]: one["since"] for one in page.state["trial"]}
        assert since["trial"] > began["trial"] and since["steady"] == began["steady"]
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        page.until(lambda page: counts(page) == {"trial": 0, "steady": 7}, "one more")
        daemon.reload(policies=[ORG, trial | {"mode": "enforce"}])
        page.until(lambda page: page.state["trial"] == [], "the end of both")


def test_no_secret_is_told(launch, upstream, redis, key):
    """Of Redis, of the handler and of callers, under load, without Redis and after a reload that failed."""
    password, junk = "s3cret-of-redis", "mcp_" + "j" * 43
    redis("CONFIG", "SET", "requirepass", password)
    daemon = launch(upstream, policies=[ORG], redis_url=f"unix://:{password}@{redis.path}")
    told: list[str] = []
    with PageEvents(daemon.admin) as page:

        def until(condition, what: str):
            page.until(lambda page: told.append(json.dumps([page.hello, page.state])) or condition(page), what)

        until(lambda page: page.state and page.state["redis"]["ok"], "Redis")
        for credential in (key, junk):
            ask(daemon.port, "GET", "/api/listings", credential)
        until(lambda page: page.state["refusals"] and page.state["top"]["callers"], "the load")
        daemon.write(f'upstream: {{url: "http://user:s3cret-of-upstream@127.0.0.1:1"}}\nredis: {{url: "redis//:{password}@127.0.0.1:6379"}}\n')
        until(lambda page: (page.state["configuration"]["last_reload"] or {}).get("ok") is False, "the failed reload")
        redis.kill()
        until(lambda page: not page.state["redis"]["ok"], "the loss of Redis")
        until(lambda page: not page.state["fleet"]["known"], "the fleet being unknown")
    assert len(told) > 3
    for secret in (password, "s3cret", junk, key):
        assert not any(secret in text for text in told), "an event shows a secret"


def test_the_loss_of_redis_is_told_and_its_return(launch, upstream, redis, key):
    daemon = launch(upstream, policies=[ORG], redis_settings={"timeout": "250ms"})
    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state and page.state["redis"]["ok"], "Redis")
        redis.kill()
        page.until(lambda page: not page.state["redis"]["ok"], "its loss")
        assert (page.state["status"]["status"], page.state["redis"]["reason"]) == ("redis unavailable", "unreachable")
        assert ask(daemon.port, "GET", "/api/listings", key).status == 503
        page.until(lambda page: page.sum("failed") == 1, "the failure")
        assert page.exchanges("redis")[1] == 1
        page.until(lambda page: page.state["refusals"], "the refusal")
        assert page.state["refusals"][0]["reason"] == "limiter_unavailable"
        redis.start()
        page.until(lambda page: page.state["status"]["status"] == "ready", "its return")


def test_another_sidecar_with_other_policies_is_told(launch, upstream):
    daemon = launch(upstream, policies=[ORG])
    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state and len(page.state["fleet"]["sidecars"]) == 1, "itself")
        launch(upstream, policies=[{"name": "other", "per": "key", "limit": "5/1m"}])
        page.until(lambda page: len(page.state["fleet"]["sidecars"]) == 2, "the other one")
        sidecars = page.state["fleet"]["sidecars"]
        assert len({one["policies"] for one in sidecars}) == 2
        assert [one["name"] for one in sidecars if one["self"]] == [page.hello["name"]]


# ---- Coming and going ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["query", "field"])
def test_a_page_that_comes_back_is_told_what_it_missed(launch, upstream, key, by):
    daemon = launch(upstream, policies=[ORG])
    with PageEvents(daemon.admin) as page:
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        page.until(lambda page: page.requests() == 1, "the first call")
    known = page.id
    assert known == max(page.samples)
    for _ in range(3):
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    again = PageEvents(daemon.admin, known) if by == "query" else PageEvents(
        daemon.admin, fields={"Last-Event-ID": str(known)}
    )  # fmt: skip
    with again:
        again.until(lambda page: page.requests() == 3, "what it missed")
        assert min(again.samples) == known + 1


def test_so_many_pages_and_no_more(tollgate):
    pages = [PageEvents(tollgate.admin) for _ in range(MOST)]
    for page in pages:
        assert page.status == 200
        page.until(lambda page: page.hello, "hello")
    with PageEvents(tollgate.admin) as refused:
        assert (refused.status, refused.answer.getheader("Retry-After")) == (503, "5")
        assert "close one" in json.loads(refused.answer.read())["detail"]
    # Probes find their way all the same, and so does whoever asks for the page itself.
    for target in ("/livez", "/readyz", "/", "/status"):
        assert ask(tollgate.admin, "GET", target, fields={"Host": "localhost"}).status == 200
    pages.pop().close()

    def is_admitted() -> bool:
        with PageEvents(tollgate.admin) as page:
            return page.status == 200

    until(is_admitted, "room for another one")
    for page in pages:
        page.until(lambda page: len(page.samples) >= 1, "a second")
        page.close()


def test_a_drain_is_told_and_ends_the_events(launch, upstream, key):
    daemon = launch(upstream, policies=[ORG], drain={"delay": "6s", "timeout": "5s"})
    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state, "the first state")
        daemon.terminate()
        page.until(lambda page: page.state["status"]["status"] == "draining", "the drain")
        assert page.rest(), "the last chunk"
    assert daemon.wait() == 0


def test_a_sidecar_that_nobody_calls_rests_while_a_page_is_open(launch, upstream):
    from test_rest import rests

    daemon = launch(upstream, loops=1)
    with PageEvents(daemon.admin) as page:
        page.until(lambda page: page.state, "the first state")
        until(lambda: rests(daemon), "a rest", 60)
        # Every second is told, late as it is read.
        page.until(lambda page: len(page.samples) >= 5, "its seconds")
        assert page.requests() == 0


# ---- Who may read it -------------------------------------------------------------------------------------------------


def raw(port: int, *lines: str) -> tuple[int, str]:
    """The status of what is answered to these lines, and its head in lower case."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (part := connection.recv(65536)):
            answer += part
    head = answer.decode().partition("\r\n\r\n")[0].lower()
    return int(head.split()[1]), head


@pytest.mark.parametrize("target", ["/", "/page.css", "/page.js", "/page/events"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Host: 127.0.0.1:9901"], 200),
        (["Host: localhost"], 200),
        (["Host: [::1]:1"], 200),
        (["Host: localhost:9901", "Origin: http://localhost:9901", "Sec-Fetch-Site: same-origin"], 200),
        ([], 400),
        (["Host: localhost", "Host: localhost"], 400),
        # A name that leads here: DNS rebinding.
        (["Host: rebound.example"], 421),
        (["Host: rebound.example:9901", "Origin: http://rebound.example:9901", "Sec-Fetch-Site: same-origin"], 421),
        (["Host: 127.0.0.1.rebound.example"], 421),
        (["Host: localhost", "Origin: http://evil.example"], 403),
        (["Host: localhost", "Origin: null"], 403),
    ],
)
def test_pages_of_others_do_not_read_it(tollgate, target, fields, expected):
    assert raw(tollgate.admin, f"GET {target} HTTP/1.1", *fields)[0] == expected


def test_images_of_other_pages_take_no_room(tollgate):
    fields = ["Host: localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image"]
    assert raw(tollgate.admin, "GET /page/events HTTP/1.1", *fields)[0] == 403
    # A link from a page elsewhere leads to the page, though.
    assert raw(tollgate.admin, "GET / HTTP/1.1", *fields)[0] == 200


def test_it_changes_nothing(tollgate):
    for target in ("/", "/page.js", "/page/events"):
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            code, head = raw(tollgate.admin, f"{method} {target} HTTP/1.1", "Host: localhost", "Content-Length: 0")
            assert code == 405 and "allow: get, head" in head
        code, head = raw(tollgate.admin, f"HEAD {target} HTTP/1.1", "Host: localhost")
        assert code == 200
    with Connection(tollgate.admin) as connection:
        page = connection.request("GET", "/", {"Host": "localhost"})
        assert page["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; ")
        assert (page["Content-Type"], page["Cache-Control"]) == ("text/html; charset=utf-8", "no-cache")
        again = connection.request("GET", "/", {"Host": "localhost", "If-None-Match": page["ETag"]})
        assert (again.status, again.body) == (304, b"")
        assert connection.request("GET", "/livez").status == 200


def test_it_is_there_on_loopback_alone(launch, upstream):
    daemon = launch(upstream, admin="0.0.0.0:0", ready=False)
    for target in ("/", "/page.css", "/page.js", "/page/events"):
        answer = ask(daemon.admin, "GET", target, fields={"Host": "127.0.0.1"})
        assert answer.status == 404
        assert "only where admin is a loopback address" in answer.json()["detail"]
    assert ask(daemon.admin, "GET", "/livez").status == 200
    assert ask(daemon.admin, "GET", "/page").json()["detail"] == "There are /livez, /metrics, /readyz and /status here."
