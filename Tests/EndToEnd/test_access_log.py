# SPDX-License-Identifier: Apache-2.0
"""One JSON line a request, with the fields of the design and no others."""

import json
import re

from fixtures.upstream import reply
from fixtures.wire import Connection, ask, until

ORDER = [
    "time",
    "correlation_id",
    "client",
    "method",
    "path",
    "route",
    "mcp_method",
    "tool",
    "status",
    "decision",
    "reason",
    "detail",
    "policy",
    "cost",
    "org",
    "key_id",
    "bytes_in",
    "bytes_out",
    "ms_admission",
    "ms_upstream",
    "ms_total",
    "sample",
    "event",
]


def well_formed(line: dict):
    assert [name for name in ORDER if name in line] == list(line), "fields in the order of the design, and no others"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert re.fullmatch(r"[0-9a-f-]{36}", line["correlation_id"])
    for name in ("ms_admission", "ms_upstream", "ms_total"):
        assert name not in line or line[name] >= 0
    return {
        name: value
        for name, value in line.items()
        if not name.startswith("ms_") and name not in ("time", "correlation_id")
    }


def test_an_allowed_request(tollgate, upstream, ctl):
    issued = ctl.issue()
    upstream.behaviour = lambda *_: reply(b"hello")
    with Connection(tollgate.port) as connection:
        answer = connection.request("POST", "/api/listings?secret=1", {"X-API-Key": issued["key"]}, b"four")
    [line] = tollgate.lines(1)
    assert line["correlation_id"] == answer["X-Correlation-ID"]
    assert {"ms_admission", "ms_upstream", "ms_total"} <= set(line)
    assert line["ms_total"] >= line["ms_upstream"]
    assert well_formed(line) == {
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/api/listings",
        "route": "/api/listings",
        "status": 200,
        "decision": "allow",
        "policy": "org",
        "cost": 1,
        "org": "acme",
        "key_id": issued["id"],
        "bytes_in": 4,
        "bytes_out": 5,
    }


def test_refusals_say_the_reason_that_the_caller_does_not_get(launch, upstream, ctl):
    # Each loop hands its lines over by itself: only those of one loop are in order.
    tollgate = launch(upstream, loops=1)
    issued = ctl.issue()
    ctl.revoke(issued["id"])
    other = "mcp_" + "A" * 43
    for target, key in (
        ("/api/listings", None),
        ("/api/listings", "junk"),
        ("/api/listings", other),
        ("/api/listings", issued["key"]),
        ("/nowhere", None),
    ):
        ask(tollgate.port, "GET", target, key)
    ask(tollgate.port, "DELETE", "/api/listings")
    lines = tollgate.lines(6)
    assert [(line["status"], line["reason"]) for line in lines] == [
        (401, "missing"),
        (401, "malformed"),
        (401, "unknown"),
        (401, "revoked"),
        (404, "unknown_route"),
        (405, "method_not_allowed"),
    ]
    for line in lines:
        well_formed(line)
        assert line["decision"] == "deny"
        assert line["policy"] == "address"
        assert "ms_upstream" not in line
    assert "route" not in lines[4] and "org" not in lines[4]


def test_a_429_names_its_policy_and_a_503_none(launch, redis, upstream, ctl, key):
    daemon = launch(upstream, loops=1, policies=[{"name": "burst", "per": "key", "limit": "1/1h"}])
    for _ in range(2):
        ask(daemon.port, "GET", "/api/listings/7", key)
    # A denial is remembered for a second, so the outage is asked about with a key that was never denied.
    other = ctl.issue(name="other")["key"]
    redis.kill()
    ask(daemon.port, "GET", "/api/listings/7", other)
    allowed, denied, away = daemon.lines(3)
    assert (allowed["route"], allowed["path"]) == ("/api/listings/{id}", "/api/listings/7")
    assert (denied["status"], denied["reason"], denied["policy"], denied["org"]) == (
        429,
        "rate_limited",
        "burst",
        "acme",
    )
    assert (away["status"], away["reason"]) == (503, "limiter_unavailable")
    assert "policy" not in away


def test_a_stream_has_a_line_at_its_beginning_and_one_at_its_end(tollgate, upstream, key):
    upstream.behaviour = lambda *_: (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: 1\n\n"
    )
    answer = ask(tollgate.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream"})
    begin, end = tollgate.lines(2)
    assert (begin["event"], end["event"]) == ("begin", "end")
    assert begin["correlation_id"] == end["correlation_id"] == answer["X-Correlation-ID"]
    assert end["bytes_out"] == 9


def test_what_callers_write_cannot_forge_a_line(launch, upstream):
    tollgate = launch(upstream, loops=1)
    with Connection(tollgate.port) as connection:
        connection.send(b"GET /%22,%22status%22:200 HTTP/1.1\r\nHost: h\r\n\r\n")
        connection.response()
    with Connection(tollgate.port) as connection:
        connection.send(b'GET /a"b HTTP/1.1\r\nHost: h\r\n\r\n')
        connection.response()
    lines = tollgate.lines(2)
    assert [line["status"] for line in lines] in ([404, 404], [404, 400])
    assert lines[0]["path"] == "/%22,%22status%22:200"


def test_no_credential_is_ever_logged(launch, upstream, ctl):
    daemon = launch(upstream)
    issued = ctl.issue()
    secret = issued["key"].removeprefix("mcp_")
    ask(daemon.port, "GET", "/api/listings", issued["key"])
    ask(daemon.port, "GET", "/api/listings", fields={"Authorization": f"Bearer {issued['key']}"})
    ask(daemon.port, "GET", f"/api/listings?key={issued['key']}", issued["key"])
    ask(daemon.port, "GET", "/api/listings", issued["key"] + "x")
    ask(daemon.port, "GET", f"/api/{issued['key']}", issued["key"])
    ask(daemon.port, "GET", f"/{issued['key']}/a;b/%22{issued['key']}%22")
    renamed = ask(
        daemon.port, "GET", "/api/listings", issued["key"], fields={"X-Correlation-ID": f"for-{issued['key']}"}
    )
    assert re.fullmatch(r"[0-9a-f-]{36}", renamed["X-Correlation-ID"])
    lines = {line["correlation_id"]: line["path"] for line in daemon.lines(7)}
    assert {"/api/mcp_***", "/mcp_***/a;b/%22mcp_***"} <= set(lines.values())
    assert lines[renamed["X-Correlation-ID"]] == "/api/listings"
    daemon.terminate()
    assert daemon.wait() == 0
    for file in (daemon.access, daemon.stderr, daemon.folder / "stdout.log"):
        assert secret not in file.read_text()


def test_a_refusal_for_one_rule_of_many_says_which(tollgate, key):
    asked = [
        (b"GET /api/%2fx?secret HTTP/1.1\r\nHost: h\r\n", "/api/%2fx", "Request path contains an encoded slash"),
        (b"GET /api/listings HTTP/1.1\r\n", None, "Missing Host"),
        (
            b"GET /api/listings HTTP/1.1\r\nHost: h\r\nX-API-Key: a\r\nX-API-Key: b\r\n",
            "/api/listings",
            "x-api-key is given more than once",
        ),
    ]
    for head, _, detail in asked:
        with Connection(tollgate.port) as connection:
            connection.send(head + b"\r\n")
            answer = connection.response()
            assert (answer.status, answer.json()["detail"]) == (400, detail)
    logged = {line["detail"]: (line.get("path"), line["reason"]) for line in tollgate.lines(3)}
    assert logged == {
        detail: (path, "credential_clash" if "given" in detail else "malformed_request") for _, path, detail in asked
    }


def test_lines_go_to_stdout_by_default_and_none_is_lost_at_the_end(launch, upstream, key):
    daemon = launch(
        upstream,
        log={"level": "info", "access": "stdout"},
        policies=[{"name": "org", "per": "org", "limit": "10000/1s"}],
    )
    with Connection(daemon.port) as connection:
        for _ in range(500):
            connection.request("GET", "/api/listings", {"X-API-Key": key})
    daemon.terminate()
    assert daemon.wait() == 0
    lines = (daemon.folder / "stdout.log").read_text().splitlines()
    assert len(lines) == 500
    assert {json.loads(line)["status"] for line in lines} == {200}


def test_off_writes_none(launch, upstream, key):
    daemon = launch(upstream, log={"level": "info", "access": "off"})
    ask(daemon.port, "GET", "/api/listings", key)
    daemon.terminate()
    assert daemon.wait() == 0
    assert (daemon.folder / "stdout.log").read_text() == ""
    until(lambda: not daemon.access.exists(), "no file")


def sampled(launch, upstream, folder, sample: str, **settings):
    """One whose access log has the rest for a last line."""
    file = folder / "sampled.log"
    daemon = launch(
        upstream,
        loops=1,
        log={"level": "info", "access": str(file), "sample": sample},
        policies=[{"name": "org", "per": "org", "limit": "100000/1s"}],
        **settings,
    )
    daemon.access = file
    return daemon


def test_of_ordinary_lines_a_sample_and_all_refusals(launch, upstream, folder, key):
    daemon = sampled(launch, upstream, folder, "25%")
    with Connection(daemon.port) as connection:
        for _ in range(400):
            assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
    for _ in range(20):
        assert ask(daemon.port, "GET", "/api/listings").status in (401, 429)
    until(lambda: len([1 for line in daemon.lines() if line["status"] != 200]) == 20, "all refusals")
    ordinary = [line for line in daemon.lines() if line["status"] == 200]
    assert {line["sample"] for line in ordinary} == {4}
    # 100 but for six standard deviations.
    assert 48 <= len(ordinary) <= 152
    assert all("sample" not in line for line in daemon.lines() if line["status"] != 200)
    well_formed(ordinary[0])


def test_both_lines_of_a_stream_or_none(launch, upstream, folder, key):
    daemon = sampled(launch, upstream, folder, "50%")
    upstream.behaviour = lambda *_: (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: 1\n\n"
    )
    with Connection(daemon.port) as connection:
        for _ in range(60):
            connection.request("GET", "/files/a", {"X-API-Key": key, "Accept": "text/event-stream"})
    assert ask(daemon.port, "GET", "/nowhere").status == 404
    until(lambda: any(line["status"] == 404 for line in daemon.lines()), "the last line")
    by_request: dict[str, list] = {}
    for line in daemon.lines():
        if line["status"] == 200:
            by_request.setdefault(line["correlation_id"], []).append((line["event"], line["sample"]))
    assert set(map(tuple, by_request.values())) == {(("begin", 2), ("end", 2))}
    assert 7 <= len(by_request) <= 53


def test_level_format_and_sample_change_while_it_runs(launch, upstream, folder, key):
    file = folder / "changed.log"
    daemon = launch(upstream, loops=1, log={"level": "info", "access": str(file), "sample": "0.01%"})
    daemon.access = file
    ask(daemon.port, "GET", "/api/listings", key)
    daemon.settings["log"] = {"level": "debug", "format": "json", "access": str(file), "sample": "100%"}
    daemon.write()

    def reloaded() -> dict | None:
        said = (line for line in daemon.said().splitlines() if line.startswith("{"))
        return next((one for one in map(json.loads, said) if one["message"] == "configuration reloaded"), None)

    until(lambda: reloaded() is not None, "the reload, told in JSON")
    assert list(reloaded()) == ["time", "level", "message", "config.hash", "took_ms"]
    assert reloaded()["level"] == "notice"
    line = daemon.line_of(ask(daemon.port, "GET", "/api/listings", key))
    assert (line["status"], line.get("sample")) == (200, None)
    def state() -> dict:
        return ask(daemon.admin, "GET", "/status", fields={"Host": "localhost"}).json()["configuration"]

    before = state()["hash"]
    daemon.settings["log"] |= {"level": "error"}
    daemon.write()
    until(lambda: state()["hash"] != before, "the second reload")
    # It is a notice, which is no longer written.
    assert daemon.times_said("configuration reloaded") == 1
    count = len(daemon.said().splitlines())
    daemon.settings["log"] |= {"format": "xml"}
    daemon.write()
    until(lambda: len(daemon.said().splitlines()) > count, "the refusal")
    last = json.loads(daemon.said().splitlines()[-1])
    assert (last["level"], last["message"]) == ("error", "configuration not reloaded: all stays as it was")
    assert "log.format: expected text or json, got 'xml'" in last["problem"]


def test_every_line_of_the_daemon_is_an_object_where_json_is_asked_for(launch, upstream, redis):
    daemon = launch(upstream, wait=False, log={"level": "debug", "format": "json", "access": "off"})

    def messages() -> list[str]:
        whole, _, _ = daemon.said().rpartition("\n")
        return [json.loads(line)["message"] for line in whole.splitlines()]

    until(lambda: "listening" in messages() and "admin listening" in messages(), "it listens")
    redis.kill()
    until(lambda: "redis unavailable" in messages(), "Redis is missed")
    for line in daemon.said().splitlines():
        members = json.loads(line)
        assert list(members)[:3] == ["time", "level", "message"]
        assert all(isinstance(value, str) for value in members.values())
