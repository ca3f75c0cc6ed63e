# SPDX-License-Identifier: Apache-2.0
"""Many keys at a time, with a sidecar that goes by what was changed: revoked by a filter, interrupted, done again."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

import pytest
from fixtures.programs import built
from fixtures.wire import ask, until

PATH = "/api/listings"
#: What tollgatectl takes of its input at a time.
PAGE = 500


def status(daemon, key: str) -> int:
    return ask(daemon.port, "GET", PATH, key).status


def records(redis, count: int, org: str = "acme") -> list[str]:
    """Records as issued keys have them, but for their pointers; their ids."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    ids = ["aaaaaa" + "".join(letters[number // 26**place % 26] for place in range(4)) for number in range(count)]
    for number, local in enumerate(ids):
        name = f"tg:1:{{{org}}}:k:{local}"
        redis("HSET", name, "key_hash", "0" * 64, "subject", local, "is_active", "1", "name", f"n{number}")
        redis("ZADD", f"tg:1:{{{org}}}:keys", str(number), local)
        redis("ZADD", f"tg:1:{{{org}}}:active", "+inf", local)
    return [f"{org}/{local}" for local in ids]


@contextmanager
def begun(ctl, *arguments: str):
    """A command whose input is a pipe."""
    process = subprocess.Popen(
        [built("tollgatectl"), *arguments],
        env={**os.environ, "TOLLGATE_REDIS_URL": ctl.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_a_filter_revokes_is_refused_on_the_next_request(launch, upstream, ctl):
    daemons = [launch(upstream), launch(upstream)]
    ada = [ctl.issue("acme", f"a{number}", "--user", "ada") for number in range(3)]
    others = [ctl.issue("acme", "b", "--user", "bob"), ctl.issue("globex", "c", "--user", "eve")]
    for daemon in daemons:
        assert [status(daemon, one["key"]) for one in ada + others] == [200] * 5
    assert ctl("key", "revoke", "--where", "user=ada", "--yes", "--reason", "left").endswith("3 keys revoked.\n")
    for daemon in daemons:
        assert [status(daemon, one["key"]) for one in ada + others] == [401] * 3 + [200] * 2
    # Again: there is nothing left to do.
    assert ctl("key", "revoke", "--where", "user=ada", "--yes") == "0 keys revoked.\n"
    assert ctl("key", "revoke", "--org", "globex", "--yes").endswith("1 key revoked.\n")
    assert [status(daemons[0], one["key"]) for one in others] == [200, 401]
    assert ctl("audit", "acme").count("left") == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_revocation_tells_what_is_done_and_the_same_again_does_the_rest(redis, ctl, number):
    ctl("org", "create", "acme")
    ids = records(redis, PAGE + 100)
    with begun(ctl, "key", "revoke", "--stdin", "--yes") as process:
        process.stdin.write("\n".join(ids[:PAGE]) + "\n")
        process.stdin.flush()
        said = [process.stdout.readline() for _ in range(PAGE)]
        assert said == [f"Key {one} revoked.\n" for one in ids[:PAGE]]
        # It waits for more lines.
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr.read() == (
            f"tollgatectl: interrupted: {PAGE} keys revoked, the others not; for those run the same command again\n"
        )
    assert redis("ZCARD", "tg:1:{acme}:active") == 100
    again = ctl("key", "revoke", "--org", "acme", "--yes")
    assert again.endswith("100 keys revoked.\n")
    assert redis("ZCARD", "tg:1:{acme}:active") == 0


def test_where_redis_goes_away_what_was_revoked_is_told(redis, ctl):
    ctl("org", "create", "acme")
    ids = records(redis, PAGE + 1)
    with begun(ctl, "key", "revoke", "--stdin", "--yes") as process:
        process.stdin.write("\n".join(ids[:PAGE]) + "\n")
        process.stdin.flush()
        for _ in range(PAGE):
            process.stdout.readline()
        redis.stop()
        output, errors = process.communicate(ids[PAGE] + "\n", 60)
    assert process.returncode == 69
    assert errors.endswith(f"{PAGE} keys revoked, the others not; for those run the same command again\n")


def test_rotated_keys_are_revoked_together(launch, upstream, ctl, redis):
    """Revoking a replacement alone gives its place back to the key in grace; together, nothing is left."""
    daemon = launch(upstream)
    old = ctl.issue("acme", "ci", "--user", "ada")
    new = json.loads(ctl("key", "rotate", old["id"], "--grace", "1d", "--json"))
    assert [status(daemon, one["key"]) for one in (old, new)] == [200, 200]
    assert ctl("key", "revoke", "--org", "acme", "--yes").endswith("2 keys revoked.\n")
    assert [status(daemon, one["key"]) for one in (old, new)] == [401, 401]
    assert redis("ZCARD", "tg:1:{acme}:active") == 0


def test_a_person_at_a_terminal_sees_the_keys_before_the_question(ctl):
    keys = [ctl.issue("acme", f"k{number}", "--user", "ada") for number in range(2)]
    terminal = ctl.on_terminal("key", "revoke", "--where", "user=ada")
    terminal.until("Revoke 2 keys? [y/N] ")
    for number, key in enumerate(keys):
        assert f"{key['id']}  k{number}, ada" in terminal.screen
    terminal.type("y\n")
    assert terminal.end().endswith("2 keys revoked.\n")
    assert terminal.code == 0


def test_ctrl_c_at_the_question_changes_nothing(ctl, redis):
    key = ctl.issue("acme", "k", "--user", "ada")
    terminal = ctl.on_terminal("key", "revoke", "--org", "acme")
    terminal.until("Revoke 1 key? [y/N] ")
    terminal.type("\x03")
    terminal.end()
    assert terminal.code == -signal.SIGINT
    assert redis("HGET", f"tg:1:{{acme}}:k:{key['id'][5:]}", "is_active") == b"1"
