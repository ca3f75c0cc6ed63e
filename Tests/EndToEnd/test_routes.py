# SPDX-License-Identifier: Apache-2.0
"""What sidecars serve, as `tollgatectl routes` shows it."""

import json

import pytest
from fixtures.programs import ROOT
from fixtures.upstream import Upstream, reply
from fixtures.wire import PATIENCE, ask, until

#: Documents are read once a minute, and sidecars published every 20 s.
FAST = [ROOT / "Tests/at", "--speed", "20"]
NAMES = "tg:1:{:m}:routes:*"


def telling(handler: Upstream, *paths: str):
    document = {"openapi": "3.1.0", "paths": {path: {"get": {}} for path in paths}}
    answer = reply(json.dumps(document).encode(), fields={"Content-Type": "application/json"})
    handler.behaviour = lambda request, _: answer if request.target == "/openapi.json" else reply(b"ok")


def sets(ctl, *arguments: str) -> list[dict]:
    shown = ctl.run("routes", "--json", *arguments)
    return json.loads(shown.stdout)["sets"] if shown.returncode == 0 else []


def serve(ctl, *wanted: list[str], patience: float = PATIENCE):
    """Waits until the sidecars publish sets of these paths, and no others. Those of a document are in the order of paths."""

    def paths() -> list[list[str]]:
        return sorted([route["path"] for route in one["routes"]] for one in sets(ctl))

    until(lambda: paths() == sorted(wanted), f"sets of {[len(one) for one in wanted]} routes", patience, pause=0.2)


def test_listed_routes_and_those_of_a_document_are_one_table(launch, upstream, ctl, redis):
    telling(upstream, "/a", "/b/{id}")
    daemon = launch(
        upstream, routes=[{"path": "/health", "public": True}, {"openapi": "/openapi.json"}], within=FAST
    )
    serve(ctl, ["/health", "/a", "/b/{id}"])
    (one,) = sets(ctl)
    assert [route["from"] for route in one["routes"]] == ["configuration", "document", "document"]
    assert [route["access"] for route in one["routes"]] == ["public", "key", "key"]
    assert [route["methods"] for route in one["routes"]] == [[], ["GET"], ["GET"]]
    assert [route["policies"] for route in one["routes"]] == [["address"], ["org"], ["org"]]
    assert one["awaits_document"] is False
    # A new document, and other settings.
    telling(upstream, "/a", "/c")
    serve(ctl, ["/health", "/a", "/c"])
    daemon.reload(routes=[{"path": "/mcp", "mcp": True, "scopes": ["mcp"]}])
    serve(ctl, ["/mcp"])
    assert ctl("routes").splitlines()[1:] == [
        "PATH  METHODS          ACCESS  MCP  SCOPES  POLICIES",
        "/mcp  DELETE,GET,POST  key     mcp  mcp     org, handshake, open-streams",
    ]
    # Nobody is found by former routes.
    assert redis("ZCOUNT", "tg:1:{:m}:sidecars", int(redis("TIME")[0]) - 60, "+inf") == 1


def test_a_document_that_nobody_has_read_is_said(launch, upstream, ctl):
    upstream.behaviour = lambda *_: reply(b"", "404 Not Found")
    launch(upstream, routes=[{"path": "/a"}, {"openapi": "/openapi.json"}], ready=False)
    serve(ctl, ["/a"])
    assert sets(ctl)[0]["awaits_document"] is True
    shown = ctl.run("routes")
    assert shown.stderr.endswith(": the document of openapi was not read yet, so all other paths are 503\n")


def test_sidecars_with_other_routes_are_told_apart(launch, upstream, ctl):
    for path in ("/a", "/a", "/b"):
        launch(upstream, routes=[{"path": path}])
    serve(ctl, ["/a"], ["/b"])
    until(lambda: [len(one["sidecars"]) for one in sets(ctl)] == [2, 1], "three sidecars", pause=0.2)
    both, other = sets(ctl)
    shown = ctl.run("routes")
    assert shown.returncode == 0
    first, second = shown.stdout.split("\n\n")
    assert first.startswith(f"Routes {both['hash'][:8]} of 2 sidecars {', '.join(both['sidecars'])}:\n")
    assert second.startswith(f"Routes {other['hash'][:8]} of sidecar {other['sidecars'][0]}:\n")
    assert "they serve 2 route sets" in shown.stderr
    assert f"sidecar {other['sidecars'][0]} serves otherwise than 2 sidecars" in shown.stderr
    assert shown.stderr.endswith(": /b, /a\n")
    for name in both["sidecars"] + other["sidecars"]:
        (one,) = sets(ctl, "--sidecar", name)
        assert one["sidecars"] == [name]


def test_the_largest_document_is_published_whole(launch, upstream, ctl, redis, key):
    paths = sorted(f"/{number}/".ljust(256, "x") for number in range(2_000))
    telling(upstream, *paths)
    # The debug build takes its time for such a document, and for such a table.
    daemon = launch(upstream, routes=[{"openapi": "/openapi.json"}], ready=False)
    serve(ctl, paths, patience=300)
    (one,) = sets(ctl)
    assert one["omitted"] == 0
    assert redis("STRLEN", f"tg:1:{{:m}}:routes:{one['hash']}") <= 1 << 20
    assert ask(daemon.port, "GET", paths[-1], key).status == 200


class TestOverAMinute:
    @pytest.fixture
    def clocks(self):
        return FAST

    def test_a_set_that_nobody_serves_lapses(self, launch, upstream, ctl, redis):
        first = launch(upstream, routes=[{"path": "/a"}])
        launch(upstream, routes=[{"path": "/b"}])
        until(lambda: len(redis.names(NAMES)) == 2, "both sets being there")
        first.process.kill()
        first.wait()
        first.process = None
        until(lambda: len(redis.names(NAMES)) == 1, "the set of the one that was killed lapsing")
        # The other one's beats keep it.
        serve(ctl, ["/b"])
