# SPDX-License-Identifier: Apache-2.0
"""Request fields by which a caller could choose path, method or identity for the handler, past what was judged."""

import json
import subprocess

import pytest
from fixtures.programs import built
from fixtures.wire import ask

#: What servers and frameworks take a mount point, a path, a method or a proxy from; ChoosingFieldsTests.swift has them all.
CHOOSING = {
    "SCRIPT_NAME": "/.well-known",
    "Daphne-Root-Path": "/.well-known",
    "X-Original-URL": "/mcp",
    "X-HTTP-Method-Override": "DELETE",
    "Proxy": "http://evil.example",
    "X-Tollgate-Scopes": "admin",
    "X_Tollgate_Plan": "gold",
    "Content_Length": "5",
}
KEPT = {"X-Custom": "1", "X-Root-Paths": "1", "Tollgate-X": "1"}


def check(folder, settings: dict) -> subprocess.CompletedProcess:
    (folder / "tollgate.json").write_text(json.dumps(settings))
    command = [built("tollgate"), "config", "check", "tollgate.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("path", ["/api/listings", "/open"])
def test_no_field_chooses_for_the_handler(tollgate, upstream, key, path):
    assert ask(tollgate.port, "GET", path, key, fields=CHOOSING | KEPT).status == 200
    identity = {"x-tollgate-org", "x-tollgate-key-id"} if path != "/open" else set()
    assert {name.lower() for name in CHOOSING} & upstream.last.names() == set()
    assert {name for name in upstream.last.names() if name.startswith("x-tollgate-")} == identity
    for name, value in KEPT.items():
        assert upstream.last.get(name) == value


def test_what_may_not_be_listed_is_refused(folder):
    done = check(folder, {"upstream": {"forward_fields": ["X-Mine"]}, "keys": {"headers": ["X_Mine"]}})
    assert (done.returncode, "forward_fields" in done.stderr) == (78, True), done.stderr


def test_a_key_is_looked_for_by_any_name_and_stays_here(launch, upstream, key):
    daemon = launch(upstream, keys={"headers": ["Api_Key"]})
    assert ask(daemon.port, "GET", "/api/listings").status == 401
    assert ask(daemon.port, "GET", "/api/listings", fields={"Api_Key": key}).status == 200
    assert key.encode() not in upstream.received
    # Nor does it go on where keys do: a name that chooses never does.
    daemon = launch(upstream, keys={"headers": ["Api_Key"], "forward": True})
    assert ask(daemon.port, "GET", "/api/listings", fields={"api_key": key}).status == 200
    assert "api_key" not in upstream.last.names()


# Without routes


@pytest.fixture
def plain(launch, upstream):
    """As with no file at all."""
    return launch(upstream, routes=None)


def test_well_known_with_a_key_is_like_any_path(plain, upstream, key):
    answer = ask(plain.port, "POST", "/.well-known/mcp", key)
    assert (answer.status, upstream.last.get("X-Tollgate-Org")) == (200, "acme")
    assert answer["RateLimit-Policy"] == '"org";q=20;w=10'
    assert ask(plain.port, "POST", "/.well-known/mcp", "mcp_unknown").status == 401
    assert ask(plain.port, "POST", "/.well-known/mcp", fields={"X-API-Key": ""}).status == 405


# Credentials


def test_a_key_in_any_form_stays_here(launch, upstream, ctl):
    good, other = ctl.issue()["key"], ctl.issue(name="other")["key"]
    daemon = launch(upstream)
    for target in ("/api/listings", "/open"):
        assert ask(daemon.port, "GET", target, good, fields={"Authorization": f"Bearer, {other}"}).status == 200
    assert not {"authorization", "x-api-key"} & upstream.last.names()
    assert other.encode() not in upstream.received and good.encode() not in upstream.received


def test_a_check_says_what_is_open(folder):
    done = check(folder, {"routes": [{"path": "/b", "methods": ["GET"], "public": True}]})
    assert done.returncode == 0
    assert done.stdout.startswith("tollgate.json: ok\n")
    assert "\nopen without a key:\n  GET of /b\n  preflights" in done.stdout


# Policies


def test_a_policy_for_get_counts_head(launch, upstream, key):
    policy = {"name": "reads", "per": "key", "limit": "2/1h", "match": {"methods": ["GET"]}}
    daemon = launch(upstream, policies=[policy])
    statuses = [ask(daemon.port, method, "/files/a", key).status for method in ("HEAD", "GET", "HEAD", "GET", "POST")]
    assert statuses == [200, 200, 429, 429, 200]
