# SPDX-License-Identifier: Apache-2.0
"""Request fields by which a caller could choose path, method or identity for the handler, past what was judged."""

import json
import subprocess

import pytest
from fixtures.programs import built
from fixtures.wire import Connection, ask

#: What servers and frameworks take a mount point, a path, a method or a proxy from.
CHOOSING = {
    "SCRIPT_NAME": "/.well-known",
    "script_name": "/.well-known",
    "PATH_INFO": "/mcp",
    "Daphne-Root-Path": "/.well-known",
    "X-Root-Path": "/.well-known",
    "X-Script-Name": "/.well-known",
    "X-Original-URL": "/mcp",
    "x-original-uri": "/mcp",
    "X-Rewrite-URL": "/mcp",
    "X-Original-Path": "/mcp",
    "X-Original-Method": "DELETE",
    "X-Rewrite-URI": "/mcp",
    "X-Override-URL": "/mcp",
    "X-Envoy-Original-Path": "/mcp",
    "X-Envoy-Original-Method": "DELETE",
    "X-WAWS-Unencoded-URL": "/mcp",
    "Script-Name": "/.well-known",
    "X-Path-Info": "/mcp",
    "Path-Info": "/mcp",
    "X-Matched-Path": "/mcp",
    "X-Now-Route-Matches": "1=mcp",
    "X-Invoke-Path": "/mcp",
    "X-Invoke-Query": "%7B%7D",
    "X-Middleware-Subrequest": "middleware:middleware",
    "X-Middleware-Rewrite": "/mcp",
    "X-Middleware-Override-Headers": "x-user",
    "X-HTTP-Host-Override": "evil.example",
    "X-Sendfile-Type": "X-Accel-Redirect",
    "X-Accel-Mapping": "/=/etc/",
    "Proxy": "http://evil.example",
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Tollgate-Scopes": "admin",
    "x-tollgate-": "x",
    "X_Tollgate_Plan": "gold",
    "X.Custom": "1",
    "X_Forwarded_For": "203.0.113.9",
    "Content_Length": "5",
    "X-A-Name-Of-More-Than-32-Octets-With_One": "1",
}
KEPT = {"X-Custom": "1", "X-Root-Paths": "1", "X-Method": "1", "Proxy-Name": "1", "X-Script": "1", "Tollgate-X": "1"}
PREFLIGHT = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "DELETE"}


def check(folder, settings: dict) -> subprocess.CompletedProcess:
    (folder / "tollgate.json").write_text(json.dumps(settings))
    command = [built("tollgate"), "config", "check", "tollgate.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("trusted", [["127.0.0.0/8"], []], ids=["trusted", "stranger"])
@pytest.mark.parametrize("path", ["/api/listings", "/open"])
def test_no_field_chooses_for_the_handler(launch, upstream, key, trusted, path):
    daemon = launch(upstream, trusted_proxies=trusted)
    assert ask(daemon.port, "GET", path, key, fields=CHOOSING | KEPT).status == 200
    identity = {"x-tollgate-org", "x-tollgate-key-id"} if path != "/open" else set()
    assert {name.lower() for name in CHOOSING} & upstream.last.names() == set()
    assert {name for name in upstream.last.names() if name.startswith("x-tollgate-")} == identity
    for name, value in KEPT.items():
        assert upstream.last.get(name) == value


def test_forwarding_fields_are_for_trusted_peers(launch, upstream, key):
    fields = {
        "X-Forwarded-Prefix": "/.well-known",
        "x-forwarded-port": "1",
        "X-Forwarded-Ssl": "on",
        "X-Real-IP": "203.0.113.9",
        "True-Client-IP": "203.0.113.9",
        "CF-Connecting-IP": "203.0.113.9",
        "CF-Connecting-IPv6": "2001:db8::9",
        "Client-IP": "203.0.113.9",
        "X-Client-IP": "203.0.113.9",
        "X-Cluster-Client-IP": "203.0.113.9",
        "Fastly-Client-IP": "203.0.113.9",
        "Proxy-Client-IP": "203.0.113.9",
        "WL-Proxy-Client-IP": "203.0.113.9",
        "X-ProxyUser-Ip": "203.0.113.9",
        "X-Remote-IP": "203.0.113.9",
        "X-Remote-Addr": "203.0.113.9",
        "X-Originating-IP": "203.0.113.9",
        "X-Original-Forwarded-For": "203.0.113.9",
        "X-Forwarded": "for=203.0.113.9",
        "Forwarded-For": "203.0.113.9",
        "X-Url-Scheme": "https",
        "X-Original-Host": "bank.example",
    }
    names = {name.lower() for name in fields}
    ask(launch(upstream).port, "GET", "/api/listings", key, fields=fields)
    assert names <= upstream.last.names()
    ask(launch(upstream, trusted_proxies=[]).port, "GET", "/api/listings", key, fields=fields)
    assert names & upstream.last.names() == set()


def test_fields_that_are_listed_pass(launch, upstream, key):
    listed = ["SCRIPT_NAME", "X-Original-URL", "X-Forwarded-Prefix", "Forwarded"]
    daemon = launch(upstream, trusted_proxies=[], upstream_settings={"forward_fields": listed})
    fields = CHOOSING | {"X-Forwarded-Prefix": "/a", "Forwarded": "for=203.0.113.9", "X-Forwarded-Port": "1"}
    del fields["script_name"]
    ask(daemon.port, "GET", "/api/listings", key, fields=fields)
    for name in listed:
        assert upstream.last.get(name) == fields[name]
    assert "x-forwarded-port" not in upstream.last.names() and "daphne-root-path" not in upstream.last.names()


@pytest.mark.parametrize(
    "name", ["Content_Length", "Connection", "TE", "X-Tollgate-Org", "X_Tollgate_Plan", "Authorization", "x_api_key",
             "X-Forwarded-For", "Host", "X-Mine"]
)  # fmt: skip
def test_what_may_not_be_listed_is_refused(folder, name):
    done = check(folder, {"upstream": {"forward_fields": [name]}, "keys": {"headers": ["X_Mine"]}})
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


def test_trailers_choose_nothing_either(launch, upstream, key):
    daemon = launch(upstream, keys={"headers": ["X-API-Key", "X-Mine"]}, upstream_settings={"forward_fields": ["A_B"]})
    trailers = CHOOSING | {"X-Forwarded-Prefix": "/a", "X-Mine": key, "A_B": "1", "X-End": "kept"}
    del trailers["Content_Length"]  # One that frames is 400.
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
    head = f"POST /api/listings HTTP/1.1\r\nHost: t\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Connection(daemon.port) as connection:
        connection.send(f"{head}2\r\nok\r\n0\r\n{lines}\r\n".encode())
        assert connection.response("POST").status == 200
    assert upstream.received.endswith(b"0\r\nX-End: kept\r\n\r\n")
    assert key.encode() not in upstream.received


# Without routes


@pytest.fixture
def plain(launch, upstream):
    """As with no file at all."""
    return launch(upstream, routes=None)


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "PROPFIND", "get"])
def test_well_known_is_there_to_be_looked_at(plain, upstream, method):
    answer = ask(plain.port, method, "/.well-known/mcp", fields={"SCRIPT_NAME": "/.well-known"})
    assert (answer.status, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert "WWW-Authenticate" not in answer and upstream.requests == []


def test_well_known_is_seen_as_it_was_judged(plain, upstream):
    for method in ("GET", "HEAD", "OPTIONS"):
        fields = {"SCRIPT_NAME": "/.well-known", "Daphne-Root-Path": "/.well-known"}
        assert ask(plain.port, method, "/.well-known/mcp", fields=fields).status == 200
        assert not {"script_name", "daphne-root-path"} & upstream.last.names()


def test_well_known_with_a_key_is_like_any_path(plain, upstream, key):
    answer = ask(plain.port, "POST", "/.well-known/mcp", key)
    assert (answer.status, upstream.last.get("X-Tollgate-Org")) == (200, "acme")
    assert answer["RateLimit-Policy"] == '"org";q=20;w=10'
    assert ask(plain.port, "POST", "/.well-known/mcp", "mcp_unknown").status == 401
    assert ask(plain.port, "POST", "/.well-known/mcp", fields={"X-API-Key": ""}).status == 405


# Credentials


@pytest.mark.parametrize(
    "form",
    ["{}", "BEARER\t{}", "Bearer, {}", "Basic {}", "Token token=\"{}\"", "Bearer theirs,{}", "bearer:{}", "Key={};x",
     "Bearer ~{}", "%22{}%22", "a-{}.b"],
)  # fmt: skip
def test_a_key_in_any_form_stays_here(launch, upstream, ctl, form):
    good, other = ctl.issue()["key"], ctl.issue(name="other")["key"]
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", "/api/listings", good, fields={"Authorization": form.format(other)}).status == 200
    assert ask(daemon.port, "GET", "/open", fields={"Authorization": form.format(other)}).status == 200
    assert not {"authorization", "x-api-key"} & upstream.last.names()
    assert other.encode() not in upstream.received and good.encode() not in upstream.received


def test_a_key_in_authorization_stays_here_where_it_is_not_looked_for(launch, upstream, key):
    daemon = launch(upstream, keys={"headers": ["X-Mine"]})
    fields = {"X-Mine": key, "Authorization": f"Bearer {key}"}
    assert ask(daemon.port, "GET", "/api/listings", fields=fields).status == 200
    assert key.encode() not in upstream.received


@pytest.mark.parametrize("value", ["Basic bWNwX2I6eA==", "Bearer eyJmcp_-x.y", "Digest username=\"amcp_x\"", "mcp_"])
def test_other_credentials_pass(tollgate, upstream, key, value):
    assert ask(tollgate.port, "GET", "/api/listings", key, fields={"Authorization": value}).status == 200
    assert upstream.last.get("Authorization") == value


# Preflights


def test_a_preflight_brings_no_credential_along(tollgate, upstream, key):
    fields = PREFLIGHT | {"Authorization": "Basic dTpw", "Cookie": "session=1", "X-API-Key": "theirs", "X-Kept": "1"}
    assert ask(tollgate.port, "OPTIONS", "/files/a?do=delete", fields=fields).status == 200
    assert not {"authorization", "cookie", "x-api-key"} & upstream.last.names()
    assert upstream.last.get("X-Kept") == "1" and upstream.last.get("Origin") == PREFLIGHT["Origin"]


def test_a_preflight_with_a_body_is_none(tollgate, upstream):
    assert ask(tollgate.port, "OPTIONS", "/files/a", fields=PREFLIGHT, body=b"x").status == 401
    with Connection(tollgate.port) as connection:
        lines = "".join(f"{name}: {value}\r\n" for name, value in PREFLIGHT.items())
        connection.send(
            f"OPTIONS /files/a HTTP/1.1\r\nHost: t\r\n{lines}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()
        )
        assert connection.response("OPTIONS").status == 401
    assert upstream.requests == []


def test_preflights_can_be_refused(launch, upstream, key):
    daemon = launch(upstream, preflights="refuse")
    assert ask(daemon.port, "OPTIONS", "/files/a", fields=PREFLIGHT).status == 401
    assert ask(daemon.port, "OPTIONS", "/api/listings", fields=PREFLIGHT).status == 405
    assert ask(daemon.port, "OPTIONS", "/mcp", fields=PREFLIGHT).status == 405
    assert upstream.requests == []
    answer = ask(daemon.port, "OPTIONS", "/files/a", key, fields=PREFLIGHT | {"Cookie": "a=b"})
    assert (answer.status, upstream.last.get("Cookie")) == (200, "a=b")


@pytest.mark.parametrize(
    ("settings", "open_to"),
    [
        ({}, ["GET, HEAD and OPTIONS of /.well-known/", "preflights"]),
        ({"preflights": "refuse"}, ["GET, HEAD and OPTIONS of /.well-known/"]),
        ({"routes": [{"path": "/a"}, {"path": "/b", "public": True}], "preflights": "refuse"}, ["every method of /b"]),
        ({"routes": [{"path": "/a"}], "cors": {"allow_origins": ["*"]}}, []),
        ({"routes": [{"path": "/b", "methods": ["GET"], "public": True}]}, ["GET of /b", "preflights"]),
    ],
)
def test_a_check_says_what_is_open(folder, settings, open_to):
    done = check(folder, settings)
    first, *lines = done.stdout.splitlines()
    assert (done.returncode, first) == (0, "tollgate.json: ok")
    _, _, told = "\n".join(lines).partition("\nopen without a key:\n")
    told, _, _ = told.partition("\ncounted by nobody:")
    assert len(told.splitlines()) == len(open_to)
    for line, expected in zip(told.splitlines(), open_to):
        assert line.startswith(f"  {expected}")


# Policies


def test_a_policy_for_get_counts_head(launch, upstream, key):
    policy = {"name": "reads", "per": "key", "limit": "2/1h", "match": {"methods": ["GET"]}}
    daemon = launch(upstream, policies=[policy])
    statuses = [ask(daemon.port, method, "/files/a", key).status for method in ("HEAD", "GET", "HEAD", "GET", "POST")]
    assert statuses == [200, 200, 429, 429, 200]
