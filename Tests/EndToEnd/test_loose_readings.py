# SPDX-License-Identifier: Apache-2.0
"""A path that a careless handler reads as another is asked for what both ask for."""

import pytest
from fixtures.wire import ask

#: Before express, say, which knows no case and no slash at the end.
ROUTES = [
    {"path": "/admin", "scopes": ["admin"]},
    {"path": "/api/search"},
    {"path": "/free", "throttle": False},
    {"path": "/free/{x}", "throttle": False},
    {"path": "/news", "public": True},
    {"path": "/{page}"},
    {"path": "/api/{thing}"},
    {"path": "/{rest*}"},
]
POLICIES = [
    {"name": "search", "per": "key", "limit": "2/1h", "match": {"routes": ["/api/search"]}},
    {"name": "things", "per": "key", "limit": "100/1h", "match": {"routes": ["/api/{thing}", "/api/search"]}},
    {"name": "all", "per": "key", "limit": "100/1h"},
]


@pytest.fixture
def daemon(launch, upstream):
    return launch(upstream, routes=ROUTES, policies=POLICIES, loops=1)


@pytest.mark.parametrize("path", ["/admin", "/ADMIN", "/admin/", "//admin", "/Admin//", "/%61dmin/", "/admin%20"])
def test_the_scope_of_a_path_is_asked_for_in_every_spelling(daemon, upstream, key, ctl, path):
    answer = ask(daemon.port, "GET", path, key)
    assert (answer.status, upstream.requests) == (403, [])
    may = ctl.issue("acme", "admin", "--scope", "admin")["key"]
    assert ask(daemon.port, "GET", path, may).status == 200
    assert upstream.last.target == path


def test_the_policy_of_a_path_counts_every_spelling(daemon, key):
    paths = ["/api/search", "/api/Search", "/api/search/", "/API/search", "/api/SEARCH?q=1"]
    answers = [ask(daemon.port, "GET", path, key) for path in paths]
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
    # Of two routes that both name it, a policy asks once.
    assert answers[1]["RateLimit-Policy"].count('"things"') == 1
    assert answers[1].listed("RateLimit-Policy") == {'"search";q=2;w=3600', '"things";q=100;w=3600', '"all";q=100;w=3600'}
    assert ask(daemon.port, "GET", "/api/Searching", key).status == 200
    assert [line["route"] for line in daemon.lines(6)] == [
        "/api/search", "/api/{thing}", "/{rest*}", "/{rest*}", "/api/{thing}", "/api/{thing}",
    ]  # fmt: skip


def test_what_is_free_in_one_reading_alone_is_charged(daemon, key):
    def remaining(path: str) -> int:
        return ask(daemon.port, "GET", path, key).limits()[1]

    assert remaining("/free/x") == remaining("/free/x") == 100
    # `/{page}` charges, `/free` doesn't: the second reading adds, and takes nothing away.
    assert [remaining("/FREE"), remaining("/FREE")] == [99, 98]


def test_what_is_public_in_one_reading_alone_takes_a_key(daemon, upstream, key):
    assert ask(daemon.port, "GET", "/news").status == 200
    upstream.requests.clear()
    assert ask(daemon.port, "GET", "/NEWS").status == 401
    assert upstream.requests == []
    assert ask(daemon.port, "GET", "/NEWS", key).status == 200
