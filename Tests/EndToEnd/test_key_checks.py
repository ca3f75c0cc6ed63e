# SPDX-License-Identifier: Apache-2.0
"""Keys that prove themselves: what is issued, what sidecars make of it, and the secrets' whole life."""

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import threading

import pytest

from fixtures.programs import built
from fixtures.wire import PROCESS, Connection, ask, until

PATH = "/api/listings"
CHECKS = "tg:1:{:m}:checks"
AMPLE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]


def told(ctl, *arguments: str) -> dict:
    return json.loads(ctl(*arguments, "--json"))


def listed(ctl, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in ctl(*arguments, "--json").splitlines()]


def verify_offline(key: str, file) -> subprocess.CompletedProcess:
    """Where there is no Redis."""
    command = [built("tollgatectl"), "key", "verify", "--offline", "--check-file", str(file), "--redis", "redis://127.0.0.1:1"]
    return subprocess.run(command, input=key, capture_output=True, text=True, timeout=60)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def is_right(key: str, secret: str, prefix: str = "mcp_") -> bool:
    """By another program's reading of the form."""
    octets = decoded(key.removeprefix(prefix))
    assert len(octets) == 32 and len(key) == len(prefix) + 43
    return hmac.new(decoded(secret), prefix.encode() + octets[:26], hashlib.sha256).digest()[:6] == octets[26:]


def made_up() -> str:
    return "mcp_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def stored(redis) -> dict[str, str]:
    """Secrets by their id, as they lie in Redis."""
    text = redis("GET", CHECKS) or b""
    return {line.split(" ")[0]: line.split(" ")[2] for line in text.decode().splitlines()}


def import_by_hand(redis, key: str, like: str):
    """A key that somebody else has made, with the record of one that was issued here."""
    pointer = redis("GET", f"tg:1:cred:{hashlib.sha256(like.encode()).hexdigest()}").decode()
    organization, local = pointer.split(" ")
    record = f"tg:1:{{{organization}}}:k:{local}"
    digest = hashlib.sha256(key.encode()).hexdigest()
    redis("HSET", record, "key_hash", digest)
    redis("HDEL", record, "check")
    redis("SET", f"tg:1:cred:{digest}", pointer)


def age(redis):
    """Secrets become old enough to be issued with."""
    lines = [line.split(" ") for line in redis("GET", CHECKS).decode().splitlines()]
    redis("SET", CHECKS, "".join(f"{id} {int(created) - 60} {secret}\n" for id, created, secret in lines))


def test_issued_and_rotated_keys_have_a_right_check(ctl, redis):
    issued = ctl.issue()
    [(id, secret)] = stored(redis).items()
    assert is_right(issued["key"], secret)
    assert told(ctl, "key", "show", issued["id"])["check"] == id
    rotated = told(ctl, "key", "rotate", issued["id"], "--grace", "0s")
    assert is_right(rotated["key"], secret)
    assert told(ctl, "key", "show", rotated["id"])["check"] == id
    assert not is_right(made_up(), secret)
    # Making the first one, and nothing but that, is in the trail; no secret is.
    trail = ctl("audit", "--plans", "--json")
    assert trail.count('"check.add"') == 1 and secret not in trail


def test_the_life_of_secrets(ctl, redis):
    assert ctl.run("check", "list").stderr == "No secrets yet. The first key that is issued makes one.\n"
    old = ctl.issue()
    [first] = stored(redis)
    age(redis)
    second = told(ctl, "check", "rotate")["id"]
    # Sidecars may not have it yet.
    assert told(ctl, "key", "show", ctl.issue(name="between")["id"])["check"] == first
    age(redis)
    new = ctl.issue(name="new")
    assert told(ctl, "key", "show", new["id"])["check"] == second
    rows = [(line["id"], line["issuing"], line["active_keys"]) for line in listed(ctl, "check", "list")]
    assert rows == [(second, True, 1), (first, False, 2)]
    assert ctl.run("key", "list", "--unproven").stderr == "No active key is unproven.\n"
    retired = ctl.run("check", "retire", first)
    assert retired.returncode == 64 and "with 2 active keys made with it" in retired.stderr
    assert told(ctl, "check", "retire", "--yes", first) == {"id": first, "active_keys": 2}
    assert set(stored(redis)) == {second}
    assert {line["id"] for line in listed(ctl, "key", "list", "--unproven")} == {
        old["id"], *(line["id"] for line in listed(ctl, "key", "list") if line["name"] == "between")}
    assert ctl.run("check", "retire", "--yes", first).returncode == 66
    for _ in range(7):
        ctl("check", "rotate")
    full = ctl.run("check", "rotate")
    assert full.returncode == 73 and "there are 8 secrets" in full.stderr


def test_every_good_key_is_served_under_prefer(launch, upstream, ctl, redis):
    """Made elsewhere in the same form, before there were checks, under a secret that was retired: whatever the secrets are."""
    daemon = launch(upstream, policies=AMPLE, log={"level": "debug"})
    proven, imported, retired = (ctl.issue(name=name)["key"] for name in ("proven", "imported", "retired"))
    foreign = made_up()
    import_by_hand(redis, foreign, like=imported)
    for key in (proven, foreign, retired):
        assert ask(daemon.port, "GET", PATH, key).status == 200
    [first] = stored(redis)
    ctl("check", "retire", "--yes", first)
    another = launch(upstream, policies=AMPLE)
    for key in (proven, foreign, retired):
        assert ask(another.port, "GET", PATH, key).status == 200
    # Nonsense in their place, and of another type.
    redis("SET", CHECKS, "nonsense\n\x00 1 \xff\n")
    third = launch(upstream, policies=AMPLE)
    assert ask(third.port, "GET", PATH, proven).status == 200
    redis("DEL", CHECKS)
    redis("HSET", CHECKS, "a", "hash")
    fourth = launch(upstream, policies=AMPLE)
    assert ask(fourth.port, "GET", PATH, proven).status == 200
    # It goes on to be, past the seconds in which secrets are asked for.
    redis("DEL", CHECKS)
    assert ask(fourth.port, "GET", PATH, foreign).status == 200


def test_require_refuses_what_proves_nothing(launch, upstream, ctl, redis):
    issued = ctl.issue()
    unproven = made_up()
    import_by_hand(redis, unproven, like=ctl.issue(name="imported")["key"])
    daemon = launch(upstream, policies=AMPLE, keys={"check": "require", "accept": ["mcp_", "sk_"]}, loops=1)
    # Until its secrets are known, nothing is refused for want of them.
    until(lambda: ask(daemon.port, "GET", PATH, unproven).status == 401, "the secrets to be known")
    refused = ask(daemon.port, "GET", PATH, unproven)
    assert refused.status == 401
    assert daemon.line_of(refused)["reason"] == "malformed"
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    # Other forms have no check.
    other = ask(daemon.port, "GET", PATH, "sk_nobody")
    assert other.status == 401
    # A key under a new secret works from the first second on: before every sidecar has it, none is issued.
    age(redis)
    [old] = stored(redis)
    ctl("check", "rotate")
    early = ctl.run("check", "retire", "--yes", old)
    assert early.returncode == 75 and "not every sidecar has the other secret yet" in early.stderr
    age(redis)
    new = ctl.issue(name="new")["key"]
    until(lambda: ask(daemon.port, "GET", PATH, new).status == 200, "the new secret to be known")
    # Without any, none is refused for that.
    for id in stored(redis):
        ctl("check", "retire", "--yes", id)
    until(lambda: ask(daemon.port, "GET", PATH, unproven).status == 200, "the secrets to be gone")
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    # Nor is one made by the way, which would end all of these.
    refused = ctl.run("key", "issue", "--org", "acme", "--name", "blind")
    assert refused.returncode == 73 and "there is no secret to make one with" in refused.stderr
    ctl("check", "rotate")
    refused = ctl.run("key", "issue", "--org", "acme", "--name", "early")
    assert refused.returncode == 75 and "not every sidecar has the secret" in refused.stderr


def test_secrets_in_a_file(launch, upstream, ctl, redis, tmp_path):
    line = ctl("check", "make")
    id, secret = line.split()
    file = tmp_path / "checks.txt"
    file.write_text(f"# of the deployment\n\n{line}")
    daemon = launch(upstream, policies=AMPLE, keys={"check": "require", "check_file": str(file)})
    until(lambda: ctl.run("key", "issue", "--org", "nobody", "--name", "x").returncode == 73, "the terms to be published")
    ctl("org", "create", "acme")
    blind = ctl.run("key", "issue", "--org", "acme", "--name", "blind")
    assert blind.returncode == 73 and "--check-file" in blind.stderr
    issued = ctl.issue("acme", "laptop", "--check-file", str(file))
    assert is_right(issued["key"], secret)
    # None of it is in Redis but the id.
    assert stored(redis) == {}
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    assert ask(daemon.port, "GET", PATH, made_up()).status == 401
    # Another secret in front: the sidecar has it within a second.
    file.write_text(ctl("check", "make") + line)
    other = ctl.issue("acme", "other", "--check-file", str(file))["key"]
    until(lambda: ask(daemon.port, "GET", PATH, other).status == 200, "the file to be read again")
    assert ask(daemon.port, "GET", PATH, issued["key"]).status == 200
    assert ctl.run("key", "list", "--unproven").returncode == 73
    offline = verify_offline(issued["key"], file)
    assert (offline.returncode, offline.stdout) == (
        0, f"The check is right, by secret {id}. Whether the key holds, Redis alone says.\n")
    junk = verify_offline(made_up(), file)
    assert junk.returncode == 73 and "the check is not right" in junk.stderr


def verified(ctl, key: str, *arguments: str) -> subprocess.CompletedProcess:
    return ctl.run("key", "verify", *arguments, input=key)


def test_verify_tells_whether_a_key_proves_itself(launch, upstream, ctl, redis):
    issued = ctl.issue()
    right = verified(ctl, issued["key"])
    assert right.returncode == 0 and "\nCheck:      right\n" in right.stdout
    assert json.loads(verified(ctl, issued["key"], "--json").stdout)["proven"] is True
    older = made_up()
    import_by_hand(redis, older, issued["key"])
    wrong = verified(ctl, older)
    assert wrong.returncode == 0 and "\nCheck:      not right: behind proven keys when junk comes\n" in wrong.stdout
    assert json.loads(verified(ctl, older, "--json").stdout)["proven"] is False
    # By sidecars that require it, it is no key.
    launch(upstream, keys={"check": "require"})
    until(lambda: verified(ctl, older).returncode == 73, "the terms to be published", pause=PROCESS)
    wrong = verified(ctl, older)
    assert (wrong.returncode, wrong.stderr) == (
        73, f"tollgatectl: key {issued['id']} does not hold: it is unproven, and the sidecars require a right check\n"
    )


def test_secrets_of_a_file_are_listed(ctl, redis, tmp_path):
    file = tmp_path / "checks"
    file.touch(mode=0o600)
    file.write_text("".join(ctl("check", "make") for _ in range(2)))
    first, second = (line.split(" ")[0] for line in file.read_text().splitlines())
    ctl("org", "create", "acme")
    for name in ("a", "b"):
        ctl("key", "issue", "--org", "acme", "--name", name, "--check-file", str(file))
    other = ctl.issue("acme", "c")
    rows = listed(ctl, "check", "list", "--check-file", str(file))
    assert rows == [
        {"id": first, "created_at": None, "issuing": True, "active_keys": 2},
        {"id": second, "created_at": None, "issuing": False, "active_keys": 0},
        {"id": None, "created_at": None, "issuing": False, "active_keys": 1},
    ]
    assert [row["id"] for row in listed(ctl, "check", "list")] == [told(ctl, "key", "show", other["id"])["check"], None]
    shown = ctl("check", "list", "--check-file", str(file))
    assert not any(line.split(" ")[1] in shown for line in file.read_text().splitlines())


def test_a_key_that_is_made_while_its_secret_is_retired_is_counted(ctl, redis):
    ctl.issue("acme", "a")
    (id,) = stored(redis)
    terminal = ctl.on_terminal("check", "retire", id)
    terminal.until("1 active key made with it would be unproven.")
    # While somebody thinks about it.
    ctl.issue("acme", "b")
    terminal.type("yes\n")
    screen = terminal.end()
    assert terminal.code == 0
    assert "1 key more made with it meanwhile; see: tollgatectl key list --unproven" in screen
    assert f"Secret {id} retired, with 2 active keys made with it." in screen
    assert len(listed(ctl, "key", "list", "--unproven")) == 2


@pytest.mark.parametrize(
    "text, flaw",
    [
        ("", "a file without one"),
        ("abcdefg2\n", "a file whose line 1 is no ID and secret"),
        ("# x\nabcdefg2 AAAA\n", "a file whose line 2 is no ID and secret"),
        ("abcdefg2 " + "A" * 43 + "\n" + "abcdefg2 " + "A" * 43 + "\n", "a file with two secrets of the id abcdefg2"),
    ])
def test_a_wrong_file_is_told_and_never_shown(launch, upstream, tmp_path, text, flaw):
    file = tmp_path / "checks.txt"
    file.write_text(text)
    daemon = launch(upstream, wait=False, keys={"check_file": str(file)})
    assert daemon.process.wait(60) == 78
    said = daemon.stderr.read_text()
    assert "keys.check_file: expected a file of secrets, got /" in said and f": {flaw}" in said and "AAAA" not in said


def test_good_keys_come_through_a_flood_after_a_restart(launch, upstream, ctl, redis):
    """Junk of the form of issued keys, from many addresses and more than may be looked up; no key is known yet."""
    keys = [ctl.issue(f"org{number}")["key"] for number in range(8)]
    daemon = launch(
        upstream, policies=[*AMPLE, {"name": "address", "per": "address", "limit": "1000000/1s"}], loops=1,
        trusted_proxies=["127.0.0.0/8"])
    ending = threading.Event()
    seen: list[dict[int, int]] = [{} for _ in range(8)]

    def flood(number: int):
        with Connection(daemon.port) as connection:
            turn = 0
            while not ending.is_set():
                address = f"198.{18 + number % 2}.{turn % 250}.{number}"
                status = connection.request(
                    "GET", PATH, {"X-API-Key": made_up(), "X-Forwarded-For": address}).status
                seen[number][status] = seen[number].get(status, 0) + 1
                turn += 1

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: sum(sum(one.values()) for one in seen) > 500, "junk to be answered")
        for key in keys:
            assert ask(daemon.port, "GET", PATH, key, fields={"X-Forwarded-For": "198.18.0.1"}).status == 200
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    assert set().union(*seen) <= {401, 503}
