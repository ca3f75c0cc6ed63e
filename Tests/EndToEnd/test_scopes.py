# SPDX-License-Identifier: Apache-2.0
"""What a key may be used for and from where: scopes of routes and tools, and networks."""

import json
import os

import pytest
from fixtures.upstream import reply
from fixtures.wire import ask, until

ROUTES = [
    {"path": "/health", "methods": ["GET"], "public": True},
    {"path": "/api/listings", "methods": ["GET"], "scopes": ["listings:read"]},
    {"path": "/api/listings", "methods": ["POST"], "scopes": ["listings:read", "listings:write"]},
    {"path": "/files/{rest*}"},
    {
        "path": "/mcp",
        "mcp": True,
        "scopes": ["mcp"],
        "tool_scopes": {"db_*": ["db:read"], "*_drop": ["db:write"], "free": ["mcp"]},
    },
]
SLOW = [
    {"name": "org", "per": "org", "limit": "100/1d"},
    {"name": "monthly", "per": "org", "quota": "100/month"},
    {"name": "calls", "per": "key", "concurrency": 5},
]


def change(redis, key_id: str, **fields: str):
    """As tollgatectl changes a record: with the organization's revision."""
    org, name = key_id.split("/")
    redis("HSET", f"tg:1:{{{org}}}:k:{name}", *[part for pair in fields.items() for part in pair])
    redis("HSET", f"tg:1:{{{org}}}", "rev", os.urandom(8).hex())


@pytest.fixture
def issued(ctl, redis):
    def make(**fields: str) -> tuple[str, str]:
        one = ctl.issue("acme", f"k{len(redis.names('tg:1:*:k:*'))}")
        change(redis, one["id"], **fields) if fields else None
        return one["key"], one["id"]

    return make


def left(answer) -> dict[str, int]:
    items = (item.split(";") for item in answer["RateLimit"].split(", "))
    return {item[0].strip('"'): int(item[1].removeprefix("r=")) for item in items}


# ---- Scopes of routes ------------------------------------------------------------------------------------------------


def test_all_scopes_of_a_route_are_needed_and_all_that_is_missing_is_named(launch, upstream, issued, redis):
    daemon = launch(upstream, routes=ROUTES, policies=SLOW)
    nothing, _ = issued()
    reader, reader_id = issued(scopes="listings:read other")
    assert ask(daemon.port, "GET", "/api/listings", reader).status == 200
    for key, method, taken, missing in [
        (nothing, "GET", "listings:read", ["listings:read"]),
        (nothing, "POST", "listings:read listings:write", ["listings:read", "listings:write"]),
        (reader, "POST", "listings:read listings:write", ["listings:write"]),
    ]:
        refused = ask(daemon.port, method, "/api/listings", key)
        assert refused.status == 403
        assert refused["Content-Type"] == "application/problem+json"
        # A client that gets itself a key for what it is challenged for must not lose what it has.
        assert refused["WWW-Authenticate"] == f'Bearer realm="tollgate", error="insufficient_scope", scope="{taken}"'
        problem = refused.json()
        assert (problem["status"], problem["detail"]) == (403, "Insufficient scope")
        assert problem["missing_scopes"] == missing
        assert "Retry-After" not in refused
    assert len(upstream.requests) == 1
    assert [line["reason"] for line in daemon.lines(4) if line["status"] == 403] == ["insufficient_scope"] * 3
    # Effective on the next request, both ways.
    change(redis, reader_id, scopes="listings:read listings:write")
    assert ask(daemon.port, "POST", "/api/listings", reader).status == 200
    change(redis, reader_id, scopes="")
    assert ask(daemon.port, "GET", "/api/listings", reader).status == 403


def test_a_403_costs_a_token_of_each_rate_no_quota_and_no_slot(launch, upstream, issued, redis):
    daemon = launch(upstream, routes=ROUTES, policies=SLOW)
    key, _ = issued()
    for turn in range(1, 4):
        assert left(ask(daemon.port, "GET", "/api/listings", key)) == {"org": 100 - turn, "monthly": 100, "calls": 5}
    assert not redis.names("tg:1:{acme}:c:*")


def test_when_nothing_is_left_it_is_429(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES, policies=[{"name": "org", "per": "org", "limit": "2/1d"}])
    key, _ = issued()
    assert [ask(daemon.port, "GET", "/api/listings", key).status for _ in range(3)] == [403, 403, 429]


def test_without_a_key_it_is_401_even_where_none_is_needed(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES, keys={"anonymous": "allow"})
    refused = ask(daemon.port, "GET", "/api/listings")
    assert (refused.status, refused["WWW-Authenticate"]) == (401, 'Bearer realm="tollgate", scope="listings:read"')
    assert ask(daemon.port, "GET", "/files/x").status == 200
    assert ask(daemon.port, "GET", "/health").status == 200


@pytest.mark.parametrize("scopes", ['a"b', "a  b", " a", "a\\", "ä", "x" * 129], ids=repr)
def test_a_record_whose_scopes_cannot_be_read_is_no_key(launch, upstream, issued, scopes):
    daemon = launch(upstream, routes=ROUTES)
    key, _ = issued(scopes=scopes)
    assert ask(daemon.port, "GET", "/files/x", key).status == 401


# ---- Networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("networks", "client", "status"),
    [
        ("10.0.0.0/8 192.0.2.7", "10.9.8.7", 200),
        ("10.0.0.0/8 192.0.2.7", "192.0.2.7", 200),
        ("10.0.0.0/8 192.0.2.7", "192.0.2.8", 403),
        # The address itself, not the /64 that it is charged by.
        ("2001:db8::1", "2001:db8::1", 200),
        ("2001:db8::1", "2001:db8::2", 403),
        ("2001:db8::/32", "2001:db8:1::2", 200),
        ("10.0.0.0/8", "::ffff:10.1.1.1", 200),
        ("0.0.0.0/0", "2001:db8::1", 403),
        ("unix", "10.9.8.7", 403),
        ("10.0.0.0/33", "10.9.8.7", 401),
        ("10.0.0.1/8", "10.0.0.1", 401),
        ("anywhere", "10.9.8.7", 401),
    ],
)
def test_a_key_holds_where_it_is_bound_to(launch, upstream, issued, networks, client, status):
    daemon = launch(upstream, routes=ROUTES, trusted_proxies=["127.0.0.0/8"])
    key, _ = issued(allow_from=networks)
    answer = ask(daemon.port, "GET", "/files/x", key, fields={"X-Forwarded-For": client})
    assert answer.status == status
    if status == 403:
        assert answer.json()["detail"] == "Address not allowed"
        assert "WWW-Authenticate" not in answer
        assert daemon.lines(1)[0]["reason"] == "address_not_allowed"


def test_the_peer_counts_where_nobody_is_trusted(launch, upstream, issued):
    """Whoever says it is somebody else is not."""
    daemon = launch(upstream, routes=ROUTES, trusted_proxies=[])
    key, _ = issued(allow_from="10.0.0.0/8")
    assert ask(daemon.port, "GET", "/files/x", key, fields={"X-Forwarded-For": "10.1.1.1"}).status == 403


def test_peers_of_a_unix_socket_are_named_so(launch, upstream, issued, folder, redis):
    path = folder / "in.sock"
    daemon = launch(upstream, routes=ROUTES, listen=["127.0.0.1:0", f"unix:{path}"])
    key, key_id = issued(allow_from="unix")
    assert ask(str(path), "GET", "/files/x", key).status == 200
    assert ask(daemon.port, "GET", "/files/x", key).status == 403
    change(redis, key_id, allow_from="127.0.0.0/8")
    assert ask(str(path), "GET", "/files/x", key).status == 403
    assert ask(daemon.port, "GET", "/files/x", key).status == 200


def test_where_comes_before_what_for(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES)
    key, _ = issued(allow_from="10.0.0.0/8")
    assert ask(daemon.port, "GET", "/api/listings", key).json()["detail"] == "Address not allowed"


# ---- Scopes of tools -------------------------------------------------------------------------------------------------


def call(*tools: str, **rest) -> bytes:
    messages = [
        {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool}}
        for number, tool in enumerate(tools, 1)
    ]
    return json.dumps(messages[0] if len(messages) == 1 else messages).encode()


def post(daemon, key, body: bytes, **fields: str):
    fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **fields}
    return ask(daemon.port, "POST", "/mcp", key, fields=fields, body=body)


def said(answer) -> str:
    """In-band, as the result of a tool."""
    assert answer.status == 200
    assert answer.json()["result"]["isError"] is True
    return answer.json()["result"]["content"][0]["text"]


def test_tools_take_scopes_of_all_rules_that_match(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES, policies=SLOW)
    key, _ = issued(scopes="mcp db:read")
    assert post(daemon, key, call("search")).status == 200
    assert post(daemon, key, call("db_read")).status == 200
    assert post(daemon, key, call("free")).status == 200
    assert len(upstream.requests) == 3
    refused = post(daemon, key, call("db_drop"))
    # In-band, as clients survive it: the result of a tool.
    assert refused.status == 200
    assert refused.json() == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"content": [{"type": "text", "text": "Insufficient scope: db:write"}], "isError": True},
    }
    challenge = 'Bearer realm="tollgate", error="insufficient_scope", scope="mcp db:read db:write"'
    assert refused["WWW-Authenticate"] == challenge
    other, _ = issued()
    batch = post(daemon, other, call("db_drop", "search"))
    texts = [element["result"]["content"][0]["text"] for element in batch.json()]
    assert texts == ["Insufficient scope: mcp db:read db:write"] * 2
    assert batch["WWW-Authenticate"] == challenge
    listed = post(daemon, other, b'{"jsonrpc":"2.0","id":"x","method":"tools/list"}')
    assert listed.json()["error"]["code"] == 40300
    assert listed.json()["error"]["data"]["missing_scopes"] == ["mcp"]
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("presented, error", [(None, ""), ("mcp_unknown", ', error="invalid_token"')])
def test_who_has_no_key_is_told_the_scopes_to_ask_for(launch, upstream, presented, error):
    """MCP 2025-11-25: what a client asks a token for first. What the body calls is not known by then."""
    daemon = launch(upstream, routes=ROUTES)
    for refused in (
        post(daemon, presented, call("db_drop")),
        ask(daemon.port, "GET", "/mcp", presented, fields={"Accept": "text/event-stream"}),
    ):
        assert (refused.status, refused["WWW-Authenticate"]) == (401, f'Bearer realm="tollgate"{error}, scope="mcp"')
    # Where nothing is asked for, nothing is named.
    assert ask(daemon.port, "GET", "/files/x", presented)["WWW-Authenticate"] == f'Bearer realm="tollgate"{error}'


def test_a_list_leaves_out_what_the_scopes_do_not_reach(launch, upstream, issued):
    tools = [{"name": name} for name in ("search", "db_read", "db_drop", "table_drop", "free")]
    listing = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()
    upstream.behaviour = lambda *_: reply(listing, fields={"Content-Type": "application/json"})
    daemon = launch(upstream, routes=ROUTES, policies=SLOW)

    def names(key: str) -> list[str]:
        answer = post(daemon, key, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
        return [tool["name"] for tool in answer.json()["result"]["tools"]]

    assert names(issued(scopes="mcp")[0]) == ["search", "free"]
    assert names(issued(scopes="mcp db:read")[0]) == ["search", "db_read", "free"]
    assert names(issued(scopes="mcp db:write")[0]) == ["search", "table_drop", "free"]
    assert names(issued(scopes="mcp db:read db:write")[0]) == [tool["name"] for tool in tools]
    # A key's own rules besides.
    assert names(issued(scopes="mcp db:read", tools="!db_read")[0]) == ["search", "free"]


def test_what_cannot_be_read_is_refused_where_tools_take_scopes(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES, policies=SLOW)
    key, _ = issued(scopes="mcp db:read db:write")
    refused = post(daemon, key, b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"db_drop","x":NaN}}')
    assert refused.status == 400
    assert upstream.requests == []


def test_without_redis_scopes_and_networks_hold(launch, upstream, issued, redis):
    # One loop: what it knows of a key, another may not.
    daemon = launch(upstream, loops=1, routes=ROUTES, redis_settings={"on_failure": "open"})
    key, _ = issued(scopes="mcp")
    bound, _ = issued(scopes="listings:read", allow_from="10.0.0.0/8")
    assert ask(daemon.port, "GET", "/files/x", key).status == 200
    assert ask(daemon.port, "GET", "/files/x", bound).status == 403
    redis.kill()
    assert ask(daemon.port, "GET", "/files/x", key).status == 200
    assert ask(daemon.port, "GET", "/api/listings", key).status == 403
    assert ask(daemon.port, "GET", "/api/listings", bound).status == 403


@pytest.mark.parametrize("call", ["{}", '{"name":5}', '{"name":null}', '{"name":["db_drop"]}', '{"title":"db_drop"}'])
def test_a_call_that_names_no_tool_takes_what_any_tool_takes(launch, upstream, issued, call):
    """A handler may find a name where none can be read."""
    daemon = launch(upstream, routes=ROUTES)
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % call.encode()
    assert said(post(daemon, issued(scopes="mcp db:read")[0], body)) == "Insufficient scope: db:write"
    assert upstream.requests == []
    assert post(daemon, issued(scopes="mcp db:read db:write")[0], body).status == 200
    assert len(upstream.requests) == 1


def test_no_other_way_to_name_a_tool_gets_around_its_scopes(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES)
    key, _ = issued(scopes="mcp db:read")
    for body in (
        rb'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\u0064b_drop"}}',
        rb'{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"db_drop"}}',
        b'[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"db_drop"}}]',
    ):
        assert b"Insufficient scope: db:write" in post(daemon, key, body).body
    # One that asks for no answer gets none, and isn't run either.
    notice = post(daemon, key, b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"db_drop"}}')
    assert (notice.status, notice.json()["error"]["data"]["missing_scopes"]) == (403, ["db:write"])
    gzipped = post(daemon, key, call("search"), **{"Content-Encoding": "gzip"})
    assert gzipped.status == 415
    twice = post(daemon, key, b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"db_drop"}}')
    assert twice.status == 400
    assert upstream.requests == []


def test_fields_that_are_trusted_name_the_tool(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES, mcp={"trust_mcp_headers": True})
    key, _ = issued(scopes="mcp db:read")
    modern = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call"}
    for name in ({"Mcp-Name": "db_drop"}, {"Mcp-Name": "=?base64?ZGJfZHJvcA==?="}, {}):
        refused = post(daemon, key, call("db_drop"), **modern, **name)
        assert b"Insufficient scope: db:write" in refused.body
    assert upstream.requests == []
    assert post(daemon, key, call("db_read"), **modern, **{"Mcp-Name": "db_read"}).status == 200


def test_who_has_no_key_calls_the_tools_that_take_no_scope(launch, upstream):
    routes = [{"path": "/mcp", "mcp": True, "tool_scopes": {"db_*": ["db:read"]}}]
    daemon = launch(upstream, routes=routes, keys={"anonymous": "allow"}, mcp={"hosts": [], "origins": []})
    assert post(daemon, None, call("search")).status == 200
    refused = post(daemon, None, call("search", "db_read"))
    assert (refused.status, refused.json()["error"]["data"]["detail"]) == (
        401,
        "Missing API key. Provide X-API-Key header.",
    )
    assert refused["WWW-Authenticate"] == 'Bearer realm="tollgate", scope="db:read"'
    tools = [{"name": name} for name in ("search", "db_read")]
    listing = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()
    upstream.behaviour = lambda *_: reply(listing, fields={"Content-Type": "application/json"})
    answer = post(daemon, None, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    assert answer.json()["result"]["tools"] == [{"name": "search"}]


def test_where_oauth_is_configured_the_status_says_it(launch, upstream, issued):
    """A client that can get a better token is told which (RFC 6750 §3.1)."""
    metadata = {"resource": "https://mcp.example.com/mcp", "authorization_servers": ["https://id.example.com"]}
    daemon = launch(upstream, routes=ROUTES, mcp={"resource_metadata": metadata})
    refused = post(daemon, issued(scopes="mcp")[0], call("db_drop"))
    assert refused.status == 403
    assert refused["WWW-Authenticate"].startswith(
        'Bearer realm="tollgate", error="insufficient_scope", scope="mcp db:read db:write", '
        'resource_metadata="https://'
    )
    error = refused.json()["error"]
    assert (error["code"], error["data"]["missing_scopes"]) == (40300, ["db:read", "db:write"])


def test_a_modern_client_is_told_in_band_as_well(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES)
    refused = post(daemon, issued(scopes="mcp")[0], call("db_read"), **{"MCP-Protocol-Version": "2026-07-28"})
    assert refused.status == 200
    error = refused.json()["error"]
    assert (error["code"], error["message"]) == (40300, "Insufficient scope: db:read")
    assert (error["data"]["status"], error["data"]["missing_scopes"]) == (403, ["db:read"])


def test_an_address_is_refused_in_band(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES)
    key, _ = issued(allow_from="10.0.0.0/8")
    refused = post(daemon, key, call("db_read"))
    assert (refused.status, refused.json()["result"]) == (
        200,
        {"content": [{"type": "text", "text": "Address not allowed"}], "isError": True},
    )
    assert daemon.lines(1)[0]["status"] == 403
    # Nothing in it could carry the answer.
    assert ask(daemon.port, "GET", "/mcp", key, fields={"Accept": "text/event-stream"}).status == 403


def test_a_scope_comes_before_a_tool_that_is_barred(launch, upstream, issued):
    daemon = launch(upstream, routes=ROUTES)
    key, _ = issued(scopes="mcp", tools="!db_*")
    assert said(post(daemon, key, call("db_x"))) == "Insufficient scope: db:read"
    richer, _ = issued(scopes="mcp db:read", tools="!db_*")
    assert said(post(daemon, richer, call("db_x"))) == "Tool 'db_x' not allowed"


# ---- What doesn't change it ------------------------------------------------------------------------------------------


def test_a_route_without_limits_takes_scopes_all_the_same(launch, upstream, issued):
    routes = [{"path": "/free", "throttle": False, "scopes": ["x"]}]
    daemon = launch(upstream, routes=routes, policies=[{"name": "org", "per": "org", "limit": "2/1d"}])
    key, _ = issued()
    answers = [ask(daemon.port, "GET", "/free", key) for _ in range(4)]
    # It costs nothing there.
    assert [(answer.status, answer.limits()) for answer in answers] == [(403, (2, 2))] * 4
    bound, _ = issued(scopes="x", allow_from="10.0.0.0/8")
    assert ask(daemon.port, "GET", "/free", bound).status == 403
    assert upstream.requests == []


def test_another_spelling_of_the_path_takes_the_same_scopes(launch, upstream, issued, redis):
    daemon = launch(upstream, routes=ROUTES)
    key, key_id = issued(scopes="other")
    assert ask(daemon.port, "GET", "/api/%6Cistings?x=1", key).status == 403
    assert ask(daemon.port, "HEAD", "/api/listings", key).status == 403
    # As text, not by its beginning or in other letters.
    for scopes in ("listings", "listings:*", "LISTINGS:READ", "listings:read:all", "*"):
        change(redis, key_id, scopes=scopes)
        assert ask(daemon.port, "GET", "/api/listings", key).status == 403
    assert upstream.requests == []


def test_every_sidecar_and_loop_knows_of_a_change_at_the_next_request(launch, upstream, issued, redis):
    daemons = [launch(upstream, loops=2, routes=ROUTES, policies=SLOW) for _ in range(2)]
    key, key_id = issued(scopes="listings:read", allow_from="10.0.0.0/8")

    def statuses() -> set[int]:
        # Connections are dealt out to the loops in turn.
        return {ask(daemon.port, "GET", "/api/listings", key).status for daemon in daemons for _ in range(4)}

    assert statuses() == {403}
    for fields, status in [
        ({"allow_from": "127.0.0.1"}, 200),
        ({"scopes": "other"}, 403),
        ({"scopes": "other listings:read"}, 200),
        ({"allow_from": "127.0.0.2"}, 403),
        ({"allow_from": ""}, 200),
        ({"allow_from": "unix 127.0.0.0/8"}, 200),
        # What can't be read comes last: that it is no key is remembered for a second.
        ({"allow_from": "nowhere"}, 401),
    ]:
        change(redis, key_id, **fields)
        assert statuses() == {status}, fields


@pytest.mark.parametrize("on_failure", ["open", "local"])
@pytest.mark.parametrize("loss", ["killed", "emptied"])
def test_without_redis_mcp_clients_are_told_in_band_too(launch, upstream, issued, redis, loss, on_failure):
    daemon = launch(
        upstream,
        loops=1,
        routes=ROUTES,
        policies=[{"name": "org", "per": "org", "limit": "100/1s"}],
        redis_settings={"on_failure": on_failure},
    )
    lacking, _ = issued(scopes="db:read")
    bound, _ = issued(scopes="mcp", allow_from="10.0.0.0/8")
    good, _ = issued(scopes="mcp db:read")

    def check():
        assert said(post(daemon, lacking, call("db_x"))) == "Insufficient scope: mcp"
        assert said(post(daemon, bound, call("db_x"))) == "Address not allowed"
        assert said(post(daemon, good, call("db_drop"))) == "Insufficient scope: db:write"
        assert post(daemon, good, call("db_x")).status == 200

    check()
    if loss == "killed":
        redis.kill()
    else:
        redis("FLUSHALL")
        redis("CLIENT", "KILL", "TYPE", "normal")
    until(lambda: ask(daemon.admin, "GET", "/readyz").json()["status"] == "degraded", "the loss to be seen")
    check()
    assert len(upstream.requests) == 2
