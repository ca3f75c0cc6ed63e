# SPDX-License-Identifier: Apache-2.0
"""What an operator meets who has a sidecar, its log and tollgatectl without the sidecar's file."""

import json
import socket

import pytest
from fixtures.wire import PROCESS, ask, until

KEYS = {"prefix": "sk_", "max_active_per_org": 50, "headers": ["X-Token", "Authorization"]}


def test_policies_are_published_before_clients_can_connect(launch, upstream, ctl, redis):
    # A cluster is told of, and each of its primaries: the first one that is connected is enough to begin with.
    least = min(getattr(redis, "told", 1), 2)
    # Where Redis isn't found, or doesn't take the beat, within a second, the listeners open without, as may happen on a busy machine.
    for _ in range(10):
        daemon = launch(upstream, ready=False)
        shown = ctl.run("quota", "show", "127.0.0.1")
        before, _, _ = daemon.said().partition("info listening")
        if before.count("redis connected") >= least and shown.returncode == 0:
            break
        daemon.stop()
        redis("FLUSHALL")
    assert before.count("redis connected") >= least
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("Policies of sidecar ")


def test_a_port_that_is_taken_is_all_that_is_said(launch, upstream, ctl):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = launch(upstream, listen=f"127.0.0.1:{port}", wait=False)
        assert daemon.wait() == 1
    *before, last = daemon.said().splitlines()
    assert last == f"tollgate: cannot listen on 127.0.0.1:{port}: Address already in use (listen: sets another address)"
    alarms = [line for line in before if line.split()[1] in ("warning", "error")]
    # How many descriptors there are is the machine's affair.
    assert [line for line in alarms if "too few descriptors" not in line] == []
    # Nor does it count for one that runs.
    assert "Policies of sidecar" not in ctl.run("quota", "show", "127.0.0.1").stdout


def test_keys_are_issued_as_the_sidecars_take_them(launch, upstream, ctl):
    daemon = launch(upstream, namespace="prod", keys=KEYS)
    show = ("quota", "show", "127.0.0.1", "--namespace", "prod")
    until(lambda: ctl.run(*show).returncode == 0, "its terms being published", pause=PROCESS)
    ctl("org", "create", "acme", "--namespace", "prod")
    for number in range(6):
        issued = ctl("key", "issue", "--org", "acme", "--name", f"k{number}", "--namespace", "prod")
    assert issued.endswith("Send it as X-Token, or as Authorization: Bearer.\n")
    key = issued.splitlines()[0]
    assert key.startswith("sk_")
    for fields in ({"X-Token": key}, {"Authorization": f"Bearer {key}"}):
        assert ask(daemon.port, "GET", "/api/listings", fields=fields).status == 200
    # Elsewhere nobody would take it.
    assert ctl.run("org", "create", "acme").stderr == (
        "tollgatectl: warning: no sidecar runs in namespace tg, but some in prod; to work there: --namespace prod, or "
        "TOLLGATE_NAMESPACE\n"
    )


def test_sidecars_that_take_other_keys_say_so(launch, upstream):
    launch(upstream)
    other = launch(upstream, keys={"prefix": "sk_"})
    notice = "another sidecar has other settings of keys: one may refuse the keys that the other takes"
    until(lambda: other.times_said(notice) == 1, "the notice")
    assert other.times_said("another sidecar goes by other policies") == 0


def test_a_sidecar_that_says_nothing_of_keys_does_not_disagree(launch, upstream, ctl, redis):
    """One of a version that publishes its policies alone, while a fleet is renewed."""
    launch(upstream)
    (member,) = until(lambda: redis("ZRANGE", "tg:1:{:m}:sidecars", "0", "-1"), "its beat")
    text = json.loads(redis("GET", b"tg:1:{:m}:policies:" + member.rpartition(b":")[2]))
    assert text.pop("keys") == {
        "prefix": "mcp_", "accept": ["mcp_"], "headers": ["X-API-Key", "Authorization"], "max_active_per_org": 5,
        "check": "prefer", "check_file": False,
    }
    redis("SET", "tg:1:{:m}:policies:old", json.dumps(text))
    redis("ZADD", "tg:1:{:m}:sidecars", redis("TIME")[0], "web-1:old")
    later = launch(upstream)
    shown = ctl.run("quota", "show", "127.0.0.1")
    # Its look at the others is over then.
    later.stop()
    assert later.times_said("another sidecar") == 0
    assert (shown.stderr, shown.stdout.count("Policies of 3 sidecars")) == ("", 1)


def test_variables_name_the_file_and_the_namespace(launch, upstream, ctl, folder):
    file = str(folder / "daemon0/tollgate.json")
    daemon = launch(upstream, arguments=["serve"], env={"TOLLGATE_CONFIG": file, "TOLLGATE_NAMESPACE": "blue"})
    ctl("org", "create", "acme", "--namespace", "blue")
    issued = json.loads(ctl("key", "issue", "--org", "acme", "--name", "a", "--namespace", "blue", "--json"))
    assert ask(daemon.port, "GET", "/api/listings", issued["key"]).status == 200


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Authorization": "Bearer ${TOKEN}"}, "foreign_token"),
        ({"Authorization": "bearer ey.J"}, "foreign_token"),
        ({"Authorization": "Bearer ey.J", "X-API-Key": ""}, "foreign_token"),
        ({"Authorization": "Basic dTpw"}, "missing"),
        ({"Authorization": "Bearer "}, "missing"),
        ({"Authorization": "Bearer mcp_none"}, "unknown"),
        ({"Authorization": "Bearer ey.J", "X-API-Key": "mcp_none"}, "unknown"),
        ({}, "missing"),
    ],
)
def test_a_bearer_token_that_is_no_key_is_told_from_none(launch, upstream, fields, reason):
    daemon = launch(upstream)
    answer = ask(daemon.port, "GET", "/api/listings", fields=fields)
    told = {
        "foreign_token": "Missing API key: the bearer token is no key of this gateway. Provide X-API-Key header.",
        "missing": "Missing API key. Provide X-API-Key header.",
        "unknown": "Invalid or inactive API key",
    }
    error = ', error="invalid_token"' if reason == "unknown" else ""
    assert (answer.status, answer["WWW-Authenticate"]) == (401, f'Bearer realm="tollgate"{error}')
    assert answer.json()["detail"] == told[reason]
    (line,) = daemon.lines(1)
    assert (line["status"], line["reason"]) == (401, reason)
    assert "TOKEN" not in json.dumps(line)


def test_where_no_bearer_token_is_looked_for_none_is_foreign(launch, upstream):
    daemon = launch(upstream, keys={"headers": ["X-API-Key"]})
    answer = ask(daemon.port, "GET", "/api/listings", fields={"Authorization": "Bearer ey.J"})
    assert answer.json()["detail"] == "Missing API key. Provide X-API-Key header."
    assert daemon.lines(1)[0]["reason"] == "missing"
