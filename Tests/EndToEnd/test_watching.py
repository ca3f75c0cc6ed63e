# SPDX-License-Identifier: Apache-2.0
"""What Prometheus and Grafana are given: rules that fire when they should, and queries that a real sidecar answers."""

import json
import math
import re
import shutil
import subprocess
import urllib.parse
from contextlib import contextmanager

import pytest
import yaml
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.wire import accepts, ask, until
from test_expiring import FIGURE, LOCK
from test_metrics import page, use

WATCHING = ROOT / "deploy/prometheus"
RULES = yaml.safe_load((WATCHING / "alerts.yml").read_text())["groups"][0]["rules"]
CASES = yaml.safe_load((WATCHING / "alerts.test.yml").read_text())["tests"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/tollgate.json").read_text())
OPERATIONS = (ROOT / "docs/operations.md").read_text()
LOGS = (ROOT / "docs/logs.md").read_text()

#: Each with its refId's panel, which is what a failure names.
QUERIES = [
    (f"{panel['title']}: {target['legendFormat']}", target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]
METRIC = re.compile(r"\b(?:tollgate|http_server|mcp_server|process)_\w+(?=\{)")


def promtool(*arguments, folder=WATCHING) -> subprocess.CompletedProcess:
    command = [shutil.which("promtool"), *arguments]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def named(rule: dict) -> str:
    return 'alertname="%s"' % rule["alert"]


# ---- Rules ---------------------------------------------------------------------------------------------------------------


def test_promtool_accepts_configuration_and_rules():
    done = promtool("check", "config", "prometheus.yml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "SUCCESS: 1 rule files found" in done.stdout
    assert f"SUCCESS: {len(RULES)} rules found" in done.stdout


def test_every_rule_fires_when_it_should_and_not_else():
    done = promtool("test", "rules", "alerts.test.yml")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    checks = [check for case in CASES for check in case["promql_expr_test"]]
    for rule in RULES:
        own = [check["exp_samples"] for check in checks if named(rule) in check["expr"]]
        # Before its time, in its time, and where nothing is wrong.
        assert [len(samples) for samples in own] == [0, 1, 0], rule["alert"]


@pytest.mark.parametrize("change", [{"expr": "vector(0) == 1"}, {"expr": "vector(1)"}], ids=["never", "always"])
def test_the_cases_notice_a_rule_that_never_or_always_fires(folder, change):
    broken = {"groups": [{"name": "tollgate", "rules": [rule | change for rule in RULES]}]}
    (folder / "alerts.yml").write_text(yaml.safe_dump(broken))
    shutil.copy(WATCHING / "alerts.test.yml", folder)
    done = promtool("test", "rules", "alerts.test.yml", folder=folder)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert [rule["alert"] for rule in RULES if named(rule).replace('"', '\\"') not in said] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_says_what_to_do_and_where_it_is_written(rule):
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (document, anchor) == ("docs/operations.md", rule["alert"].lower())
    assert f"\n### {rule['alert']}\n" in OPERATIONS


def test_the_document_has_no_alert_that_is_no_rule():
    assert re.findall(r"^### (Tollgate\w+)$", OPERATIONS, re.M) == [rule["alert"] for rule in RULES]


def test_figures_to_plan_by_are_measured():
    capacity = re.search(r"^## Capacity\n(.*?)^## ", OPERATIONS, re.M | re.S)[1]
    figures = re.findall(r'"([^"]+)"', capacity)
    measured = re.findall(r"^\| ([^|]+?), (?:µs|MiB) +\|", (ROOT / "docs/performance.md").read_text(), re.M)
    assert figures and set(figures) <= set(measured)


def test_rules_name_all_reasons_of_a_missing_key_and_none_that_is_no_reason():
    table = dict(re.findall(r"^\| `(\w+)` \| (\d+)", LOGS, re.M))
    words = re.compile(r'reason=~?"([^"]+)"')
    listed = {rule["alert"]: {word for part in words.findall(rule["expr"]) for word in expanded(part)} for rule in RULES}
    # Of connections on which no request was read.
    assert listed.pop("TollgateProxyHeadersMissing") == {"missing", "malformed", "checksum"}
    assert set().union(*listed.values()) <= set(re.findall(r"^\| `(\w+)` \|", LOGS, re.M))
    assert listed["TollgateAuthenticationFailing"] == {word for word, status in table.items() if status == "401"}
    assert listed["TollgateManyRateLimited"] == {word for word, status in table.items() if status == "429"}
    assert listed["TollgateHandlerFailing"] == {
        word for word in table | {"upstream_truncated": ""} if word.startswith("upstream_")
    } - {"upstream_share", "upstream_queue_full"}


def expanded(pattern: str) -> list[str]:
    """The words of `a|b` and of `x_(a|b)`."""
    if found := re.fullmatch(r"(\w+)\((.*)\)", pattern):
        return [found[1] + word for word in found[2].split("|")]
    return pattern.split("|")


# ---- Names ---------------------------------------------------------------------------------------------------------------


def test_every_metric_of_rules_and_dashboard_is_documented_and_exposed(launch, upstream):
    daemon = launch(upstream)
    exposed = set(re.findall(r"^# TYPE (\S+) ", page(daemon), re.M))
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(), re.M))
    text = [rule["expr"] for rule in RULES] + [expr for _, expr in QUERIES]
    named = {name for expr in text for name in METRIC.findall(expr)}
    assert len(named) > 25
    families = {name if name in exposed else re.sub("_(bucket|count|sum)$", "", name) for name in named}
    assert families <= documented
    # These two are absent without a document.
    assert families - exposed <= {"tollgate_openapi_success", "tollgate_openapi_left_out"}


# ---- A real Prometheus ---------------------------------------------------------------------------------------------------


@contextmanager
def prometheus(folder, daemon):
    """As it is shipped, but for its pace and whom it reads; gives what asks it a query."""
    settings = yaml.safe_load((WATCHING / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(WATCHING / "alerts.yml")]
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{daemon.admin}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                shutil.which("prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/prometheus",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def get(target: str) -> list:
        answer = ask(port, "GET", target)
        assert answer.status == 200, answer.body
        return answer.json()["data"]

    try:
        until(lambda: process.poll() is not None or is_ready(port), "Prometheus being ready")
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield get
    finally:
        process.terminate()
        process.wait(30)


def is_ready(port: int) -> bool:
    return accepts(port) and ask(port, "GET", "/-/ready").status == 200


def has_data(get, expr: str) -> bool:
    filled = expr.replace("$job", "tollgate").replace("$instance", ".+").replace("$__rate_interval", "1m")
    found = get("/api/v1/query?query=" + urllib.parse.quote(filled))["result"]
    return any(math.isfinite(float(series["value"][1])) for series in found)


def test_every_query_of_the_dashboard_returns_data(launch, upstream, redis, key, folder):
    # Somebody else has counted the keys that end.
    redis("SET", LOCK, "another")
    redis("SET", FIGURE, "24h=1 7d=2 30d=3", "EX", "3600")
    daemon = launch(upstream, policies=[{"name": "few", "per": "key", "limit": "2/1d", "match": {"tools": ["search"]}}])
    with prometheus(folder, daemon) as get:
        missing = dict(QUERIES)

        def all_answered() -> bool:
            for _ in range(5):
                use(daemon, key)
            for title in [title for title, expr in missing.items() if has_data(get, expr)]:
                del missing[title]
            return not missing

        assert len(missing) == len(QUERIES) > 40
        try:
            until(all_answered, "data for every query", patience=120, pause=0.5)
        except AssertionError:
            raise AssertionError(f"no data for {missing}") from None
        # Grafana asks for the values of these.
        for name in ("job", "instance"):
            (variable,) = [one for one in DASHBOARD["templating"]["list"] if one["name"] == name]
            assert re.fullmatch(r"label_values\(tollgate_build_info(\{job=~\"\$job\"\})?, " + name + r"\)", variable["definition"])
        (target,) = get("/api/v1/targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        wanted = {(rule["alert"], "ok") for rule in RULES}

        def evaluated() -> bool:
            return {(rule["name"], rule["health"]) for rule in get("/api/v1/rules")["groups"][0]["rules"]} == wanted

        until(evaluated, "every rule being evaluated", pause=0.1)


def test_panels_have_places_of_their_own():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
