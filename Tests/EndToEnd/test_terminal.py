# SPDX-License-Identifier: Apache-2.0
"""tollgatectl in a pseudo-terminal: what the person there sees, and is asked."""

import re

import pytest

GREEN, RED, BOLD, RESET = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


def plain(screen: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", screen)


@pytest.fixture
def keys(ctl) -> list[dict]:
    return [
        ctl.issue("acme", "the laptop under the desk in the second room", "--user", "ada"),
        ctl.issue("acme", "ci"),
    ]


def test_a_table_has_colours_and_fits_the_screen(ctl, keys):
    ctl.revoke(keys[1]["id"])
    for columns in (200, 90, 80):
        screen = ctl.on_terminal("key", "list", columns=columns).end()
        lines = plain(screen).splitlines()
        assert len(lines) == 3
        assert all(len(line) <= columns for line in lines), lines
        assert screen.startswith(f"{BOLD}ID{RESET}"), screen
        assert f"{GREEN}active{RESET}" in screen and f"{RED}revoked{RESET}" in screen
        assert ("the laptop under the desk in the second room" in screen) == (columns > 100), screen
        assert (" KEY" in lines[0]) == ("LAST USED" in lines[0]) == (columns > 100), screen
        for key in keys:
            assert key["id"] in screen
            assert (f"mcp_…{key['id'][5:]}" in screen) == (columns > 100)


def test_a_narrow_screen_gets_blocks_and_loses_nothing(ctl, keys):
    screen = plain(ctl.on_terminal("key", "list", columns=40).end())
    assert "NAME: the laptop under the desk in the second room\n" in screen
    assert screen.count("STATUS: active\n") == 2


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(ctl, keys, env):
    screen = ctl.on_terminal("key", "list", columns=200, **env).end()
    assert "\x1b" not in screen
    assert screen == ctl("key", "list")


def test_without_a_terminal_nothing_is_cut_and_nothing_coloured(ctl, keys):
    listed = ctl("key", "list")
    assert "\x1b" not in listed and "the laptop under the desk in the second room" in listed


def test_a_key_is_asked_for_and_not_shown(ctl, keys):
    terminal = ctl.on_terminal("key", "verify")
    terminal.until("Key: ")
    terminal.type(keys[0]["key"] + "\n")
    screen = plain(terminal.end())
    assert terminal.code == 0
    assert f"Key:        {keys[0]['id']}\n" in screen
    assert keys[0]["key"] not in screen and keys[0]["key"][4:] not in screen


def test_a_person_who_is_asked_for_a_key_can_leave(ctl, keys):
    terminal = ctl.on_terminal("key", "verify")
    terminal.until("Key: ")
    terminal.type("mcp_\x03")
    assert plain(terminal.end()) == "Key: \n"
    assert terminal.code == 130


@pytest.mark.parametrize("answer, code, left", [("y", 0, 0), ("", 73, 2), ("n", 73, 2), ("\x04", 73, 2)])
def test_several_buckets_are_reset_only_after_a_yes(ctl, redis, keys, folder, answer, code, left):
    config = folder / "tollgate.yaml"
    config.write_text("policies: [{name: org, per: org, limit: 5/d}, {name: burst, per: org, limit: 9/d}]")
    for policy in ("org", "burst"):
        redis("SET", f"tg:1:{{acme}}:b:{policy}", "4000000000000000")
    terminal = ctl.on_terminal("quota", "reset", "acme", "--config", str(config))
    terminal.until("Fill 2 buckets of organization acme (org, burst)? [y/N] ")
    terminal.type(answer if answer == "\x04" else answer + "\n")
    screen = terminal.end()
    assert terminal.code == code, screen
    assert ("tollgatectl: nothing was reset" in screen) == (code == 73)
    assert redis("EXISTS", "tg:1:{acme}:b:org", "tg:1:{acme}:b:burst") == left


def test_one_bucket_is_reset_without_a_question(ctl, redis, keys, folder):
    config = folder / "tollgate.yaml"
    config.write_text("policies: [{name: org, per: org, limit: 5/d}, {name: burst, per: org, limit: 9/d}]")
    redis("SET", "tg:1:{acme}:b:org", "4000000000000000")
    terminal = ctl.on_terminal("quota", "reset", "acme", "org", "--config", str(config))
    assert terminal.end() == "Policy org of organization acme is full again.\n"
    assert terminal.code == 0
