# SPDX-License-Identifier: Apache-2.0
"""What refusals look like in the official clients of all lines and eras, and that sessions live through them."""

import json
import re

import pytest
from fixtures.clients import python, run_client

ALL = [(0, "legacy", 1), (1, "legacy", 1), (2, "legacy", 2), (2, "auto", 2), (2, "2026-07-28", 2)]
IDS = ["1.17", "1.30", "2.3 legacy", "2.3 auto", "2.3 modern"]
WORDS = re.compile(r"Rate limit exceeded: retry in (\d+) s")


def told(line: int, daemon, key: str, mode: str, *steps: str) -> list[dict]:
    done = run_client(python(line), "refused.py", f"http://127.0.0.1:{daemon.port}/mcp", mode, *steps, key=key)
    assert done.returncode == 0, done.stderr
    return [json.loads(each) for each in done.stdout.splitlines()]


def dear(**more) -> dict:
    return {"name": "dear", "per": "key", "limit": "1/1h", "match": {"tools": ["add"]}, **more}


def as_result(said: dict):
    assert WORDS.fullmatch(said["text"]), said
    assert said["is_error"] is True


def as_error(said: dict, code: int = 42900):
    assert said["code"] == code, said
    assert WORDS.fullmatch(said["message"]), said
    data = said["data"]
    assert (data["status"], data["violated-policies"], data["type"].rpartition("#")[2]) == (429, ["dear"], "quota-exceeded")
    assert data["retryAfter"] == int(WORDS.fullmatch(said["message"])[1])


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
def test_a_refused_call_leaves_the_session_alive(launch, stepwise, ctl, line, mode, handler):
    daemon = launch(stepwise(handler), policies=[dear()])
    said = told(line, daemon, ctl.issue()["key"], mode, "add", "add", "tools", "add", "tools")
    is_modern = said[0]["protocol"] >= "2026-07-28"
    assert said[1] == {"text": "42", "is_error": False}
    for refused in (said[2], said[4]):
        as_error(refused) if is_modern else as_result(refused)
    assert said[3] == said[5] == {"tools": ["add", "climb"]}


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
@pytest.mark.parametrize("reject", ["jsonrpc", "tool_error"])
def test_a_policy_says_how_it_refuses(launch, stepwise, ctl, line, mode, handler, reject):
    daemon = launch(stepwise(handler), policies=[dear(reject=reject)])
    said = told(line, daemon, ctl.issue()["key"], mode, "add", "add", "tools")
    (as_result if reject == "tool_error" else as_error)(said[2])
    assert said[3] == {"tools": ["add", "climb"]}


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
def test_a_request_that_is_no_call_is_refused_as_an_error(launch, stepwise, ctl, line, mode, handler):
    policy = {"name": "dear", "per": "key", "limit": "1/1h", "match": {"mcp_methods": ["tools/list"]}}
    daemon = launch(stepwise(handler), policies=[policy])
    said = told(line, daemon, ctl.issue()["key"], mode, "tools", "tools", "add")
    assert said[1] == {"tools": ["add", "climb"]}
    as_error(said[2])
    assert said[3] == {"text": "42", "is_error": False}


@pytest.mark.parametrize("line,mode,handler", ALL[2:], ids=IDS[2:])
def test_an_http_status_is_told_by_2_x_clients(launch, stepwise, ctl, line, mode, handler):
    daemon = launch(stepwise(handler), policies=[dear(reject="http")])
    said = told(line, daemon, ctl.issue()["key"], mode, "add", "add", "tools")
    as_error(said[2])
    assert said[3] == {"tools": ["add", "climb"]}


@pytest.mark.parametrize("line", [0, 1])
def test_an_http_status_costs_1_x_clients_their_session(launch, stepwise, ctl, line):
    """Why `auto` doesn't do it."""
    daemon = launch(stepwise(1), policies=[dear(reject="http")])
    said = told(line, daemon, ctl.issue()["key"], "legacy", "add", "add", "tools")
    assert {"tools": ["add", "climb"]} not in said


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
def test_a_handshake_beyond_its_limit_is_refused_by_status(launch, stepwise, ctl, line, mode, handler):
    daemon = launch(stepwise(handler), policies=[{"name": "handshake", "per": "key", "limit": "1/1h"}])
    key = ctl.issue()["key"]
    first = told(line, daemon, key, mode, "tools")
    assert first[-1] == {"tools": ["add", "climb"]}
    if mode == "2026-07-28":
        # This client says no word before its first request.
        return
    [refused] = told(line, daemon, key, mode, "tools")
    shown = json.dumps(refused)
    assert ("429" if line < 2 else "Rate limit exceeded: retry in") in shown, shown


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
def test_a_tool_that_the_key_may_not_call_is_denied_and_not_listed(launch, stepwise, ctl, line, mode, handler):
    daemon = launch(stepwise(handler))
    key = ctl.issue("acme", "reader", "--deny-tool", "add")["key"]
    said = told(line, daemon, key, mode, "tools", "add", "tools")
    assert said[1] == said[3] == {"tools": ["climb"]}
    if said[0]["protocol"] >= "2026-07-28":
        assert (said[2]["code"], said[2]["message"]) == (40300, "Tool 'add' not allowed")
    else:
        assert said[2] == {"text": "Tool 'add' not allowed", "is_error": True}


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
def test_a_tool_whose_scopes_the_key_lacks_is_denied_and_not_listed(launch, stepwise, ctl, redis, line, mode, handler):
    routes = [{"path": "/mcp", "mcp": True, "scopes": ["mcp"], "tool_scopes": {"add": ["sum:write"], "a*": ["sum:read"]}}]
    daemon = launch(stepwise(handler), routes=routes)
    issued = ctl.issue()
    org, name = issued["id"].split("/")
    redis("HSET", f"tg:1:{{{org}}}:k:{name}", "scopes", "mcp")
    said = told(line, daemon, issued["key"], mode, "tools", "add", "tools")
    assert said[1] == said[3] == {"tools": ["climb"]}
    words = "Insufficient scope: sum:write sum:read"
    if said[0]["protocol"] >= "2026-07-28":
        assert (said[2]["code"], said[2]["message"]) == (40300, words)
        assert said[2]["data"]["missing_scopes"] == ["sum:write", "sum:read"]
    else:
        assert said[2] == {"text": words, "is_error": True}
    redis("HSET", f"tg:1:{{{org}}}:k:{name}", "scopes", "mcp sum:read sum:write")
    redis("HSET", f"tg:1:{{{org}}}", "rev", "0" * 16)
    said = told(line, daemon, issued["key"], mode, "tools", "add")
    assert said[1:] == [{"tools": ["add", "climb"]}, {"text": "42", "is_error": False}]


@pytest.mark.parametrize("line,mode,handler", ALL, ids=IDS)
def test_who_comes_from_elsewhere_is_told_by_the_first_answer(launch, stepwise, ctl, redis, line, mode, handler):
    daemon = launch(stepwise(handler))
    issued = ctl.issue()
    org, name = issued["id"].split("/")
    redis("HSET", f"tg:1:{{{org}}}:k:{name}", "allow_from", "10.0.0.0/8")
    refused = told(line, daemon, issued["key"], mode, "add")[-1]
    assert (refused["code"], refused["message"]) == (40300, "Address not allowed")
