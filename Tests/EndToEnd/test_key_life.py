# SPDX-License-Identifier: Apache-2.0
"""Many keys at a time, with a sidecar that goes by what was changed: revoked by a filter, interrupted, done again."""

import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from hashlib import sha256

import pytest
from fixtures.programs import Control, built
from fixtures.redis_relay import RedisRelay
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
        process.stdin.write("\n".join(["acme/zzzzzzzzzz", *ids[: PAGE - 1]]) + "\n")
        process.stdin.flush()
        said = [process.stdout.readline() for _ in range(PAGE - 1)]
        assert said == [f"Key {one} revoked.\n" for one in ids[: PAGE - 1]]
        # It waits for more lines.
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert process.stderr.read() == (
            "tollgatectl: line 1: key acme/zzzzzzzzzz does not exist\n"
            f"tollgatectl: interrupted: {PAGE - 1} keys revoked, the others not; for those run the same command again\n"
        )
    assert redis("ZCARD", "tg:1:{acme}:active") == 101
    again = ctl("key", "revoke", "--org", "acme", "--yes")
    assert again.endswith("101 keys revoked.\n")
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


def test_what_had_no_answer_is_told_as_perhaps_done(redis, ctl, folder):
    ctl("org", "create", "acme")
    ids = records(redis, 3)
    relay = RedisRelay(folder / "relay.sock", redis.path)
    relay.alter = lambda reply: (b"", True) if b"revoked" in reply else (reply, False)
    try:
        done = Control(relay.url).run("key", "revoke", "--yes", *ids)
    finally:
        relay.close()
    assert (done.returncode, done.stdout) == (69, "")
    assert re.search(r": 0 keys revoked, perhaps [1-3] more of 3, the others not; for those run the same", done.stderr), done
    assert ctl("key", "revoke", "--yes", *ids).count(" revoked") == 3
    assert redis("ZCARD", "tg:1:{acme}:active") == 0


def at_each_revocation(relay: RedisRelay, act):
    def alter(reply: bytes) -> tuple[bytes, bool]:
        if b"revoked" in reply:
            act()
        return reply, False

    relay.alter = alter


def test_a_key_that_is_issued_meanwhile_goes_too(redis, ctl, folder):
    """In an organization that wasn't there when the filter was read."""
    for number in range(2):
        ctl.issue("acme", f"a{number}", "--user", "ada")
    ctl.issue("acme", "b", "--user", "bob")
    late: list[dict] = []
    relay = RedisRelay(folder / "relay.sock", redis.path)
    at_each_revocation(relay, lambda: late or late.append(ctl.issue("globex", "late", "--user", "ada")))
    try:
        done = Control(relay.url).run("key", "revoke", "--where", "user=ada", "--yes", "--reason", "left")
        late.clear()
        ctl.issue("acme", "a2", "--user", "ada")
        told = Control(relay.url).run("key", "revoke", "--where", "user=ada", "--yes", "--json")
    finally:
        relay.close()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("3 keys revoked (1 came meanwhile).\n")
    assert (told.returncode, told.stderr) == (0, "tollgatectl: 2 keys revoked (1 came meanwhile)\n")
    assert len(told.stdout.splitlines()) == 2
    assert ctl("key", "list", "--active", "--json").count('"user":"bob"') == ctl("key", "list", "--active", "--json").count("\n") == 1
    assert ctl("audit", "globex").count("left") == 1


def test_who_makes_keys_without_end_is_told_of(redis, ctl, folder):
    ctl.issue("acme", "first", "--user", "ada")
    relay = RedisRelay(folder / "relay.sock", redis.path)
    at_each_revocation(relay, lambda: ctl.issue("acme", "next", "--user", "ada"))
    try:
        done = Control(relay.url).run("key", "revoke", "--org", "acme", "--yes")
    finally:
        relay.close()
    assert done.returncode == 75
    assert done.stdout.endswith("11 keys revoked (10 came meanwhile).\n")
    assert done.stderr == (
        "tollgatectl: keys that match were made again and again; stop whoever makes them, say with org suspend, then run the "
        "same command again\n"
    )


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


# ---- Import ----------------------------------------------------------------------------------------------------------


def line(org: str, key: str, **members) -> str:
    return json.dumps({"organization_id": org, "key_hash": sha256(key.encode()).hexdigest(), **members}) + "\n"


def test_a_key_of_another_system_works_once_its_hash_is_imported(launch, upstream, ctl, folder):
    # That it is none is remembered for a second, in which it is asked for often.
    wide = [{"name": name, "per": name, "limit": "1000000/1s"} for name in ("address", "org")]
    daemon = launch(upstream, policies=wide)
    keys = {name: f"mcp_{name * 4}" for name in ("works", "ended", "later", "gone")}
    file = folder / "keys.jsonl"
    file.write_text(
        line("acme", keys["works"], name="ci")
        + line("acme", keys["ended"], expires_at="2020-01-01T00:00:00Z")
        + line("acme", keys["later"], not_before="2099-01-01T00:00:00Z")
        + line("acme", keys["gone"], is_active=False)
    )
    for key in keys.values():
        assert status(daemon, key) == 401
    assert ctl("key", "import", "--create-orgs", str(file)) == "4 keys imported.\n"
    until(lambda: status(daemon, keys["works"]) == 200, "the key, once it is looked up again")
    assert [status(daemon, keys[name]) for name in ("ended", "later", "gone")] == [401] * 3
    # The other system revokes it: on the next request after the next import.
    file.write_text(line("acme", keys["works"], is_active=False))
    assert ctl("key", "import", str(file)) == "0 keys imported, 1 revoked here.\n"
    assert status(daemon, keys["works"]) == 401
    file.write_text(line("acme", keys["works"]))
    assert ctl("key", "import", str(file)) == "0 keys imported, 1 stays revoked.\n"
    assert status(daemon, keys["works"]) == 401


IMPORT_PAGE = 2000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_import_is_done_by_the_same_file(redis, ctl, folder, number):
    lines = [line(f"org-{place // 5}", f"mcp_{place}") for place in range(2 * IMPORT_PAGE)]
    with begun(ctl, "key", "import", "--create-orgs") as process:
        process.stdin.write("".join(lines[:IMPORT_PAGE]) + lines[IMPORT_PAGE])
        process.stdin.flush()
        # A page is written while the next is awaited.
        until(lambda: len(redis.names("tg:1:cred:*")) == IMPORT_PAGE, "the first page", 60)
        process.send_signal(number)
        code = process.wait(60)
        output, errors = process.stdout.read(), process.stderr.read()
    if number == signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert output.startswith(f"{IMPORT_PAGE} keys imported") or output.startswith(f"{IMPORT_PAGE + 1} keys imported")
        assert "for the rest import the file again" in errors
    file = folder / "keys.jsonl"
    file.write_text("".join(lines))
    done = json.loads(ctl("key", "import", "--create-orgs", "--json", str(file)))
    assert (done["imported"] + done["there_before"], done["refused"]) == (2 * IMPORT_PAGE, 0)
    assert len(redis.names("tg:1:cred:*")) == len(redis.names("tg:1:*:k:*")) == 2 * IMPORT_PAGE
    assert redis.names("tg:1:*:unfinished") == set()


def test_where_redis_goes_away_the_import_tells_how_far_it_came(redis, ctl):
    lines = [line(f"org-{place // 5}", f"mcp_{place}") for place in range(IMPORT_PAGE + 1)]
    with begun(ctl, "key", "import", "--create-orgs") as process:
        process.stdin.write("".join(lines))
        process.stdin.flush()
        until(lambda: len(redis.names("tg:1:cred:*")) == IMPORT_PAGE, "the first page", 60)
        until(lambda: redis.names("tg:1:*:unfinished") == set(), "the first page's end", 60)
        # What is true of its data may be on its way to nobody yet: once it answers again, its former answers are sent.
        redis("PING")
        redis.stop()
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (69, "")
    assert f"up to line {IMPORT_PAGE}: {IMPORT_PAGE} keys imported; for the rest import the file again" in errors


def test_a_terminal_shows_how_far_it_is(ctl, folder):
    file = folder / "keys.jsonl"
    file.write_text("".join(line(f"org-{place // 5}", f"mcp_{place}") for place in range(3 * IMPORT_PAGE)) + "junk\n")
    terminal = ctl.on_terminal("key", "import", "--create-orgs", str(file))
    terminal.until(" %  ")
    screen = terminal.end()
    assert terminal.code == 65
    assert "[####" in screen and " lines, " in screen
    assert f"tollgatectl: line {3 * IMPORT_PAGE + 1}: expected an object of JSON\n" in screen
    # Nothing of it stays.
    assert screen.endswith(f"\r\x1b[K{3 * IMPORT_PAGE} keys imported, 1 line refused.\n")


def test_a_greedy_file_takes_bounded_memory(folder):
    """A line without an end in sight, and many of the longest there may be."""
    file = folder / "keys.jsonl"
    with file.open("w") as written:
        # By pieces: what this process takes counts as the command's until that has begun.
        for _ in range(64):
            written.write("x" * (1 << 20))
        written.write("\n")
        for _ in range(200):
            written.write('{"organization_id":"' + "y" * 60_000 + '"}\n')
    with (folder / "errors").open("wb") as errors, (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [built("tollgatectl"), "key", "import", "--dry-run", str(file)], stdout=output, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 65
    assert (folder / "output").read_text() == "0 keys could be imported.\n"
    said = (folder / "errors").read_text()
    assert said.startswith("tollgatectl: line 1: expected at most 65536 bytes in a line\n")
    assert said.count("\n") == 201 and len(said) < 40_000
    assert usage.ru_maxrss < 200 << 10
