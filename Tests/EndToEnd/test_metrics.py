# SPDX-License-Identifier: Apache-2.0
"""What a sidecar counts, as Prometheus reads it: clean in both formats, bounded, and the same as its access log says."""

import json
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from fixtures.programs import ROOT
from fixtures.upstream import Upstream, reply
from fixtures.wire import Connection, ask, request_bytes, until
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
HISTOGRAMS = ("http_server_request_duration_seconds", "mcp_server_operation_duration_seconds")
PATH = "/api/listings"


def page(daemon, accept: str = "text/plain") -> str:
    with Connection(daemon.admin) as connection:
        answer = connection.request("GET", "/metrics", {"Host": "localhost", "Accept": accept})
    assert answer.status == 200
    return answer.body.decode()


def samples(daemon) -> dict[tuple, float]:
    """By name and labels."""
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in read_text(page(daemon))
        for one in family.samples
    }


def value(daemon, name: str, **labels: str) -> float:
    return samples(daemon).get((name, frozenset(labels.items())), 0)


def by(daemon, name: str, label: str) -> dict[str, float]:
    found = {}
    for (sample, labels), number in samples(daemon).items():
        if sample == name:
            found[dict(labels).get(label, "")] = found.get(dict(labels).get(label, ""), 0) + number
    return found


def call(tool: str, number: int = 1) -> bytes:
    return json.dumps(
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    ).encode()


def use(daemon, key: str):
    """Something of everything."""
    with Connection(daemon.port) as connection:
        for path in (PATH, "/api/listings/7", "/health", "/nowhere"):
            connection.request("GET", path, {"X-API-Key": key})
        connection.request("GET", PATH)
        connection.request("DELETE", PATH, {"X-API-Key": key})
        for tool in ("search", "made-up"):
            connection.request("POST", "/mcp", {"X-API-Key": key, "Content-Type": "application/json"}, call(tool))


# ---- Formats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accept", "form"), [("text/plain", TEXT), ("application/openmetrics-text", OPENMETRICS)])
def test_a_running_sidecar_is_read_in_both_formats(launch, upstream, key, accept, form):
    daemon = launch(upstream)
    use(daemon, key)
    with Connection(daemon.admin) as connection:
        answer = connection.request("GET", "/metrics", {"Host": "localhost", "Accept": accept})
        head = connection.request("HEAD", "/metrics", {"Host": "localhost", "Accept": accept})
        refused = connection.request("POST", "/metrics", {"Host": "localhost"})
    assert (answer.status, answer["Content-Type"]) == (200, form)
    assert (head.status, head["Content-Type"], head.body) == (200, form, b"")
    assert (refused.status, refused["Allow"]) == (405, "GET, HEAD")
    read = read_openmetrics if form == OPENMETRICS else read_text
    families = {family.name: family for family in read(answer.body.decode())}
    assert families["tollgate_redis_up"].samples[0].value == 1
    assert families["http_server_request_duration_seconds"].type == "histogram"


def test_promtool_has_nothing_to_say(launch, upstream, key):
    daemon = launch(upstream)
    use(daemon, key)
    found = subprocess.run(
        [shutil.which("promtool"), "check", "metrics"], input=page(daemon), capture_output=True, text=True, timeout=60
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


# ---- Counts --------------------------------------------------------------------------------------------------------------


def test_counts_agree_with_the_access_log_line_by_line(launch, upstream, key):
    daemon = launch(upstream, policies=[{"name": "few", "per": "key", "limit": "20/1d"}])
    for _ in range(6):
        use(daemon, key)
    with Connection(daemon.port) as connection:
        connection.send(b"nonsense\r\n\r\n")
        assert connection.response().status == 400
    lines = daemon.lines(6 * 8 + 1)
    assert len(lines) == 6 * 8 + 1
    count = "http_server_request_duration_seconds_count"
    assert sum(by(daemon, count, "http_route").values()) == len(lines)
    assert by(daemon, count, "http_route") == Counter(line.get("route", "") for line in lines)
    assert by(daemon, count, "http_response_status_code") == Counter(str(line["status"]) for line in lines)
    assert by(daemon, count, "http_request_method") == Counter(line.get("method", "other") for line in lines)
    assert by(daemon, "tollgate_refusals_total", "reason") == Counter(
        line["reason"] for line in lines if "reason" in line
    )
    denied = Counter(line["policy"] for line in lines if line.get("reason") == "rate_limited")
    assert value(daemon, "tollgate_decisions_total", policy="few", result="deny") == denied["few"] > 0
    messages = [line for line in lines if "mcp_method" in line]
    operations = "mcp_server_operation_duration_seconds_count"
    assert by(daemon, operations, "mcp_method_name") == Counter(line["mcp_method"] for line in messages)
    assert by(daemon, operations, "gen_ai_tool_name") == Counter(line["tool"] for line in messages)
    assert value(daemon, "tollgate_requests_in_flight") == 0
    assert value(daemon, "tollgate_upstream_duration_seconds_count") == sum("ms_upstream" in line for line in lines)


def test_near_is_counted_instead_of_allow(launch, upstream, key):
    daemon = launch(upstream, policies=[{"name": "ten", "per": "key", "limit": "10/1d"}])
    with Connection(daemon.port) as connection:
        for _ in range(12):
            connection.request("GET", PATH, {"X-API-Key": key})
    results = {
        dict(labels)["result"]: number
        for (name, labels), number in samples(daemon).items()
        if name == "tollgate_decisions_total" and dict(labels)["policy"] == "ten"
    }
    assert results == {"allow": 7, "near": 3, "deny": 2}


def test_the_log_names_what_a_message_asks_for_and_costs(launch, upstream, key):
    policy = {"name": "tools", "per": "key", "limit": "100/1h", "cost": {"search": 5}}
    daemon = launch(upstream, loops=1, policies=[policy])
    fields = {"X-API-Key": key, "Content-Type": "application/json", "MCP-Protocol-Version": "2025-06-18"}
    failed = b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError": true}}'
    upstream.behaviour = lambda request, _: reply(failed, fields={"Content-Type": "application/json"})
    with Connection(daemon.port) as connection:
        connection.request("POST", "/mcp", fields, call("search"))
        connection.request("POST", "/mcp", fields, call("invented"))
        connection.request("POST", "/mcp", fields, b'{"jsonrpc":"2.0","id":1,"method":"in/vented"}')
        connection.request("GET", PATH, {"X-API-Key": key})
    lines = daemon.lines(4)
    assert [(line.get("mcp_method"), line.get("tool"), line["cost"]) for line in lines] == [
        ("tools/call", "search", 5),
        ("tools/call", "other", 1),
        ("other", None, 1),
        (None, None, 1),
    ]
    assert (
        value(
            daemon,
            "mcp_server_operation_duration_seconds_count",
            mcp_method_name="tools/call",
            gen_ai_tool_name="search",
            error_type="tool_error",
            mcp_protocol_version="2025-06-18",
        )
        == 1
    )


# ---- Bounds --------------------------------------------------------------------------------------------------------------


def series(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


def test_what_callers_make_up_adds_no_series(launch, upstream, key):
    chance = random.Random(16)
    policies = [{"name": "all", "per": "global", "limit": "1000000000/1s"}]
    daemon = launch(upstream, policies=policies, trusted_proxies=["127.0.0.1"], log={"access": "off"})

    def word() -> str:
        return "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=12))

    def request(number: int) -> bytes:
        fields = {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        match number % 4:
            case 0:
                return request_bytes("GET", "/" + word(), fields)
            case 1:
                return request_bytes("GET", PATH, fields | {"X-API-Key": word()})
            case 2:
                return request_bytes(word().upper(), PATH, fields)
            case _:
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": word()}}
                fields |= {"Content-Type": "application/json", "X-API-Key": key, "MCP-Protocol-Version": word()}
                return request_bytes("POST", "/mcp", fields, json.dumps(body).encode())

    def send(numbers: range):
        with Connection(daemon.port) as connection:
            for start in range(numbers.start, numbers.stop, 20):
                batch = range(start, min(start + 20, numbers.stop))
                connection.send(b"".join(request(number) for number in batch))
                for _ in batch:
                    connection.response()

    # Each combination of answers once.
    send(range(200))
    before = series(page(daemon))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, [range(start, start + 25_000) for start in range(1_000, 101_000, 25_000)]))
    after = page(daemon)
    # What the sidecars count in the first minute comes by itself.
    expected = ("status_code", "error_type", "tollgate_keys_expiring")
    assert series(after) - before <= {one for one in series(after) if any(word in one for word in expected)}
    text = re.sub(r'status_code="\d+"|error_type="\w+"', "", after)
    labels = {pair for line in series(text) for pair in re.findall(r'(\w+)="([^"]*)"', line)}
    assert {text for name, text in labels if name == "gen_ai_tool_name"} <= {"other"}
    assert {text for name, text in labels if name == "mcp_protocol_version"} <= {"other"}
    assert {text for name, text in labels if name == "http_request_method"} <= {"GET", "POST", "other"}
    assert {text for name, text in labels if name == "http_route"} <= {PATH, "/mcp"}
    for name in HISTOGRAMS:
        assert len([one for one in series(after) if one.startswith(name)]) <= 2_000
    total = sum(by(daemon, "http_server_request_duration_seconds_count", "http_route").values())
    assert total == 100_200


def test_few_series_at_the_start(launch, upstream):
    daemon = launch(
        upstream,
        routes=[{"path": f"/route{number}"} for number in range(10)],
        policies=[{"name": f"policy{number}", "per": "key", "limit": "5/1m"} for number in range(10)],
    )
    assert len([one for one in series(page(daemon)) if not one.startswith(HISTOGRAMS)]) <= 300


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_a_greedy_scraper_is_served_no_sooner(launch, upstream, key, accept):
    """A page is made ten times a second at most. Two differ by the processor time that they tell."""
    daemon = launch(upstream)
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        pages = [pool.submit(page, daemon, accept) for _ in range(400)]
        for _ in range(10):
            assert ask(daemon.port, "GET", PATH, key).status == 200
        told = [one.result() for one in pages]
    took = time.monotonic() - began
    assert all("\ntollgate_loops 2\n" in one for one in told)
    assert len(set(told)) <= 10 * took + 2
    assert value(daemon, "tollgate_loops_unheard") == 0


def test_scrapers_that_take_no_page_cost_no_memory_and_shut_nobody_out(launch, upstream, key):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "1000000/1s"}])
    use(daemon, key)
    whole = page(daemon)
    before = daemon.resident()
    asked = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000
    with ExitStack() as stack:
        greedy = [stack.enter_context(Connection(daemon.admin)) for _ in range(64)]
        for connection in greedy:
            connection.socket.setblocking(False)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for connection in greedy:
                with suppress(OSError):
                    connection.socket.send(asked)
            assert ask(daemon.admin, "GET", "/readyz").json() == {"status": "ready"}
            assert ask(daemon.port, "GET", PATH, key).status == 200
        # Of 32 connections each has at most 64 KiB that nobody takes, and a page.
        assert daemon.resident() - before < 32 * (65_536 + len(whole)) + (8 << 20)
    assert value(daemon, "tollgate_loops_unheard") == 0


# ---- Over time -----------------------------------------------------------------------------------------------------------


def test_a_reload_sets_nothing_back(launch, upstream, key):
    daemon = launch(upstream, policies=[{"name": "one", "per": "key", "limit": "1000/1h"}])
    use(daemon, key)

    def counters() -> dict[tuple, float]:
        return {
            one: number
            for one, number in samples(daemon).items()
            if one[0].endswith(("_total", "_count", "_bucket", "_sum"))
        }

    before = counters()
    other = Upstream()
    daemon.reload(policies=[{"name": "two", "per": "key", "limit": "500/1h"}], upstream={"url": other.url})
    use(daemon, key)
    for _ in range(2):
        after = counters()
        assert [one for one in before if after.get(one, -1) < before[one]] == []
        before = after
    assert value(daemon, "tollgate_decisions_total", policy="one", result="allow") > 0
    assert value(daemon, "tollgate_decisions_total", policy="two", result="allow") > 0
    assert value(daemon, "tollgate_config_last_reload_success") == 1
    assert value(daemon, "tollgate_config_last_reload_timestamp_seconds") > 1_000_000_000
    other.close()


def test_redis_away_is_seen(launch, redis, upstream, key):
    daemon = launch(upstream)
    assert value(daemon, "tollgate_redis_up") == 1
    redis.kill()
    until(lambda: value(daemon, "tollgate_redis_up") == 0, "Redis being told as away")
    redis.start()
    until(lambda: value(daemon, "tollgate_redis_up") == 1, "Redis being told as there")
    assert value(daemon, "tollgate_redis_reconnects_total") >= 1


# ---- Words ---------------------------------------------------------------------------------------------------------------


def test_the_document_lists_all_that_is_exposed_and_nothing_else(launch, upstream):
    daemon = launch(upstream)
    exposed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page(daemon), re.M))
    table = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert dict(table) == exposed
    assert len(table) == len(exposed)
