# SPDX-License-Identifier: Apache-2.0
"""Keys that end soon, and the command that is told of them: once a key and threshold, again where it failed."""

import json
import re
import signal
import subprocess
import os

import pytest
from fixtures.programs import ROOT, built
from fixtures.wire import until

DAY = 86_400
HOOK = """#!/bin/sh
cat >>"$0.told"
printf '%s\\n' "$*" >>"$0.arguments"
exit "$(cat "$0.code" 2>/dev/null || echo 0)"
"""


class Hook:
    """A program that writes down what it was told."""

    def __init__(self, path):
        self.path = path
        path.write_text(HOOK)
        path.chmod(0o755)

    def told(self) -> list[dict]:
        file = self.path.with_name(self.path.name + ".told")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def ends_with(self, code: int):
        self.path.with_name(self.path.name + ".code").write_text(str(code))


@pytest.fixture
def hook(folder):
    return Hook(folder / "hook")


@pytest.fixture
def keys(ctl):
    ctl("org", "create", "acme", "--meta", '{"mail":"ops@acme.example"}')
    return {
        name: ctl.issue("acme", name, *(["--expires", expires] if expires else []))
        for name, expires in {"soon": "3d", "later": "10d", "late": "60d", "never": ""}.items()
    }


def test_a_command_is_told_once_a_key_and_threshold(ctl, keys, hook):
    run = ("key", "expiring", "--within", "14d", "--", str(hook.path), "-x", "two words", "$HOME")
    assert ctl(*run) == "Told of 2 keys.\n"
    told = {one["id"]: one for one in hook.told()}
    assert set(told) == {keys["soon"]["id"], keys["later"]["id"]}
    one = told[keys["soon"]["id"]]
    assert (one["name"], one["within"], one["org_meta"]) == ("soon", "14d", {"mail": "ops@acme.example"})
    assert one["ends_at"] == keys["soon"]["expires_at"]
    assert "key" not in one and keys["soon"]["key"] not in json.dumps(one)
    # No shell has read them.
    assert (hook.path.parent / "hook.arguments").read_text() == "-x two words $HOME\n" * 2
    assert ctl(*run) == "Told of 0 keys; 2 keys before.\n"
    assert ctl("key", "expiring", "--within", "7d", "--json", "--", str(hook.path)) == (
        json.dumps({"id": keys["soon"]["id"], "ends_at": keys["soon"]["expires_at"], "told": True}, separators=(",", ":")) + "\n"
    )
    assert len(hook.told()) == 3
    assert json.loads(ctl("key", "show", keys["soon"]["id"], "--json"))["told_within"] == ["14d", "7d"]
    trail = [json.loads(line) for line in ctl("audit", "acme", "--json").splitlines()]
    assert [one["detail"] for one in trail if one["what"] == "key.expiring"] == ["within 14d", "within 14d", "within 7d"]


def test_a_command_that_fails_is_tried_again(ctl, keys, hook):
    run = ("key", "expiring", "--within", "7d", "--", str(hook.path))
    hook.ends_with(3)
    failed = ctl.run(*run)
    assert (failed.returncode, failed.stdout) == (75, "Told of 0 keys.\n")
    assert failed.stderr == (
        f"tollgatectl: key {keys['soon']['id']}: {hook.path}: it ended with 3\n"
        "tollgatectl: the command failed for 1 key; the next run tries again\n"
    )
    hook.ends_with(0)
    assert ctl(*run) == "Told of 1 key.\n"
    assert len(hook.told()) == 2


def test_a_command_that_is_not_there_tells_nobody(ctl, keys, folder):
    missing = ctl.run("key", "expiring", "--within", "7d", "--", str(folder / "none"))
    assert missing.returncode == 65
    assert missing.stderr == (
        f"tollgatectl: {folder / 'none'}: it can't be run: No such file or directory; key {keys['soon']['id']} is told of by "
        "the next run\n"
    )
    assert json.loads(ctl("key", "show", keys["soon"]["id"], "--json"))["told_within"] == []


def test_a_command_needs_read_nothing(ctl, keys):
    assert ctl("key", "expiring", "--within", "7d", "--", "true") == "Told of 1 key.\n"


def test_without_a_command_they_are_listed(ctl, keys):
    listed = [json.loads(line) for line in ctl("key", "expiring", "--within", "14d", "--json").splitlines()]
    assert {one["name"] for one in listed} == {"soon", "later"}
    assert ctl("key", "expiring", "--within", "90d").count("\n") == 4
    empty = ctl.run("key", "expiring", "--within", "1h")
    assert (empty.returncode, empty.stdout, empty.stderr) == (0, "", "No key ends within 1h.\n")
    for wrong in ("14", "soon", "0d", "-1d"):
        assert ctl.run("key", "expiring", f"--within={wrong}").returncode == 64
    assert ctl.run("key", "expiring", "--within", "1d", "--org", "none").returncode == 66


def test_keys_that_nobody_needs_told_of(ctl, keys, hook):
    """Revoked, replaced, or of a suspended organization. The replacement is a key of its own."""
    new = json.loads(ctl("key", "rotate", keys["soon"]["id"], "--grace", "1h", "--json"))
    ctl("key", "revoke", keys["later"]["id"])
    other = ctl.issue("globex", "soon", "--expires", "3d")
    ctl("org", "suspend", "globex")
    assert ctl("key", "expiring", "--within", "14d", "--", str(hook.path)) == "Told of 1 key.\n"
    assert [one["id"] for one in hook.told()] == [new["id"]]
    ctl("org", "resume", "globex")
    assert ctl("key", "expiring", "--within", "14d", "--", str(hook.path)) == "Told of 1 key; 1 key before.\n"
    assert hook.told()[-1]["id"] == other["id"]
    # Nobody was told of a replacement's end.
    third = json.loads(ctl("key", "rotate", other["id"], "--grace", "0s", "--json"))
    assert json.loads(ctl("key", "show", third["id"], "--json"))["told_within"] == []


def test_what_is_interrupted_is_told_by_the_next_run(ctl, keys, hook, folder):
    """Ctrl-C ends the command as well; a key that it was told of is told of again."""
    slow = folder / "slow"
    slow.write_text(f"#!/bin/sh\necho begun >{folder}/begun\nexec sleep 600\n")
    slow.chmod(0o755)
    process = subprocess.Popen(
        [built("tollgatectl"), "key", "expiring", "--within", "14d", "--", str(slow)],
        env={**os.environ, "TOLLGATE_REDIS_URL": ctl.url}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    until(lambda: (folder / "begun").exists(), "the command")
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == "Told of 0 keys.\n"
    assert errors.endswith("tollgatectl: interrupted; the next run tells of the others\n")
    assert ctl("key", "expiring", "--within", "14d", "--", str(hook.path)) == "Told of 2 keys.\n"


def test_how_often_it_was_told_is_bounded(ctl, keys, redis):
    for days in range(4, 44):
        ctl("key", "expiring", "--within", f"{days}d", "--org", "acme", "--", "true")
    record = f"tg:1:{{acme}}:k:{keys['soon']['id'].partition('/')[2]}"
    kept = redis("HGET", record, "told_within").decode().split(" ")
    assert kept == [str(days * DAY) for days in range(28, 44)]
    # As somebody else may have written it.
    redis("HSET", record, "told_within", "9" * 100_000)
    assert ctl("key", "expiring", "--within", "4d", "--", "true") == "Told of 1 key.\n"
    assert redis("HGET", record, "told_within") == str(4 * DAY).encode()


def test_the_units_run_it(ctl, keys, hook):
    """What systemd would start, with the program of the operator's in place of the one that ships nowhere."""
    unit = (ROOT / "deploy/systemd/tollgate-expiring.service").read_text()
    (start,) = re.findall(r"^ExecStart=/usr/local/bin/tollgatectl (.*)$", unit, re.M)
    within = re.search(r"TOLLGATE_EXPIRING_WITHIN=(\S+)", unit)[1]
    words = start.replace("${TOLLGATE_EXPIRING_WITHIN}", within).replace("/etc/tollgate/key-expiring", str(hook.path)).split()
    assert ctl(*words) == "Told of 2 keys.\n"


def test_a_program_of_the_document_replaces_keys(ctl, keys, folder):
    """By a timer: what the document shows, run as it stands."""
    text = (ROOT / "docs/API_KEY_GENERATION.md").read_text()
    program = folder / "key-expiring"
    program.write_text(re.search(r"<!-- file: key-expiring -->\n```sh\n(.*?)```", text, re.S)[1])
    program.chmod(0o755)
    (folder / "keys").mkdir()
    path = f"{built('tollgatectl').parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [built("tollgatectl"), "key", "expiring", "--within", "7d", "--", str(program)],
        env={**os.environ, "PATH": path, "TOLLGATE_REDIS_URL": ctl.url, "TOLLGATE_NEW_KEYS": str(folder / "keys")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Told of 1 key.\n", "")
    (file,) = (folder / "keys").iterdir()
    assert file.name == keys["soon"]["id"].replace("/", "-") and file.stat().st_mode & 0o077 == 0
    replaced = json.loads(ctl("key", "show", keys["soon"]["id"], "--json"))
    new = json.loads(ctl("key", "show", replaced["rotated_to"], "--json"))
    assert new["expires_at"] > keys["later"]["expires_at"]
    # Nobody is told of either again.
    assert ctl("key", "expiring", "--within", "7d", "--", str(program)) == "Told of 0 keys.\n"
