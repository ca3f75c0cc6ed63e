# SPDX-License-Identifier: Apache-2.0
"""Redis' password beside its URL: for daemon and command line, and changed while they run."""

import os
import subprocess

import pytest
from fixtures.programs import Control, built
from fixtures.wire import ask, until

#: What a URL would need escaped.
PASSWORD = "g:h@/%? 1"
OTHER = "an0ther one"
PATH = "/api/listings"


@pytest.fixture
def file(folder):
    place = folder / "password"
    place.write_text(PASSWORD + "\n")
    return place


@pytest.fixture
def locked(redis, key):
    """Nobody gets in but by name; this end's own commands go by a user that may do all."""
    redis("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    redis("ACL", "SETUSER", "default", "resetpass", ">of nobody")


def as_app(redis, *command: str):
    [_, reply] = redis.all([("AUTH", "app", PASSWORD), command])
    return reply


def connections(redis, password: str = PASSWORD) -> dict[bytes, bytes]:
    """Of the daemon's loops: by their numbers, what was asked on them last."""
    [_, text] = redis.all([("AUTH", "app", password), ("CLIENT", "LIST")])
    lines = [dict(part.split(b"=", 1) for part in line.split()) for line in text.splitlines()]
    return {line[b"id"]: line[b"cmd"] for line in lines if line[b"cmd"] != b"client|list" and line[b"user"] == b"app"}


def control(redis, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    return subprocess.run(
        [built("tollgatectl"), *arguments], env={**environment, "TOLLGATE_REDIS_URL": redis.url, **env},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_file_and_a_name_beside_the_url(launch, upstream, redis, key, locked, file):
    daemon = launch(upstream, redis_settings={"username": "app", "password_file": str(file)})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    shown = subprocess.run(
        [built("tollgate"), "config", "show", str(daemon.config)], capture_output=True, text=True, timeout=60
    )
    assert f'password_file: "{file}"' in shown.stdout or f"password_file: {file}" in shown.stdout
    done = control(redis, "org", "list", "--config", str(daemon.config), TOLLGATE_REDIS_URL="")
    assert (done.returncode, done.stderr) == (0, "") and "acme" in done.stdout
    for text in (daemon.said(), shown.stdout):
        assert PASSWORD not in text


def test_variables(launch, upstream, redis, key, locked, file):
    """The default user's, without a name."""
    redis.all([("AUTH", "app", PASSWORD), ("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")])
    for env in ({"TOLLGATE_REDIS_PASSWORD": PASSWORD}, {"TOLLGATE_REDIS_PASSWORD_FILE": str(file)}):
        daemon = launch(upstream, env=env)
        assert ask(daemon.port, "GET", PATH, key).status == 200
        done = control(redis, "org", "list", **env)
        assert (done.returncode, done.stderr) == (0, "")
        daemon.stop()


def test_two_that_disagree(launch, upstream, redis, folder, file):
    url = redis.url.replace("unix:", "unix://app:wr0ngword@")
    daemon = launch(upstream, redis_url=url, redis_settings={"password_file": str(file)}, wait=False)
    assert daemon.wait() == 78
    assert "redis.url and redis.password_file give different passwords for Redis; keep one of the two" in daemon.said()
    env = {"TOLLGATE_REDIS_URL": url, "TOLLGATE_REDIS_PASSWORD_FILE": str(file)}
    done = control(redis, "org", "list", **env)
    assert done.returncode == 64
    assert "TOLLGATE_REDIS_URL and TOLLGATE_REDIS_PASSWORD_FILE give different passwords" in done.stderr
    for text in (daemon.said(), done.stderr):
        assert PASSWORD not in text and "wr0ngword" not in text


@pytest.mark.parametrize("octets, flaw", [(None, "no such file"), (b"\n", "an empty file"), ("folder", "a directory")])
def test_a_file_that_is_none(launch, upstream, redis, folder, octets, flaw):
    place = folder / "secret"
    if octets == "folder":
        place.mkdir()
    elif octets is not None:
        place.write_bytes(octets)
    daemon = launch(upstream, redis_settings={"password_file": str(place)}, wait=False)
    assert daemon.wait() == 78
    assert f"redis.password_file: expected a file with Redis' password, got {place}: {flaw}" in daemon.said()
    done = control(redis, "org", "list", TOLLGATE_REDIS_PASSWORD_FILE=str(place))
    assert done.returncode == 64
    assert f"TOLLGATE_REDIS_PASSWORD_FILE: expected a file with Redis' password, got {place}: {flaw}" in done.stderr


def replace(file, password: str):
    """As Kubernetes does it: another file in its place."""
    beside = file.with_suffix(".new")
    beside.write_text(password)
    beside.replace(file)


def test_a_changed_password_is_told_on_the_connections_that_are_open(launch, upstream, redis, key, locked, file):
    daemon = launch(upstream, redis_settings={"username": "app", "password_file": str(file)}, loops=2)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    until(lambda: len(connections(redis)) == 2, "a connection a loop")
    before = connections(redis).keys()
    # Both hold while it is changed.
    as_app(redis, "ACL", "SETUSER", "app", f">{OTHER}")
    replace(file, OTHER)
    until(lambda: daemon.times_said("notice the password of redis has changed") == 1, "the password being read")
    told: set[bytes] = set()

    def is_told() -> bool:
        """What was asked last is soon something else."""
        told.update(number for number, asked in connections(redis).items() if asked == b"auth")
        return told >= before

    until(is_told, "AUTH on each of the connections")
    as_app(redis, "ACL", "SETUSER", "app", f"<{PASSWORD}")
    assert connections(redis, OTHER).keys() == before
    assert ask(daemon.port, "GET", PATH, key).status == 200
    # And a new connection is made with it.
    redis.all([("AUTH", "app", OTHER), ("CLIENT", "KILL", "USER", "app", "SKIPME", "yes")])
    until(lambda: len(connections(redis, OTHER)) == 2, "new connections")
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert OTHER not in daemon.said() and PASSWORD not in daemon.said()


def test_a_refused_password_is_read_again(launch, upstream, redis, key, locked, file):
    """Redis was first: connections are lost and refused until the file has the new one."""
    daemon = launch(upstream, redis_settings={"username": "app", "password_file": str(file)}, loops=2)
    redis.all([
        ("AUTH", "app", PASSWORD),
        ("ACL", "SETUSER", "app", "resetpass", f">{OTHER}"),
        ("CLIENT", "KILL", "USER", "app", "SKIPME", "yes"),
    ])  # fmt: skip
    until(lambda: "WRONGPASS" in daemon.said(), "the password being refused")
    replace(file, OTHER)
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", PATH, key).status == 200


def test_a_refused_change_leaves_the_connection_as_it_was(launch, upstream, redis, key, locked, file):
    daemon = launch(upstream, redis_settings={"username": "app", "password_file": str(file)}, loops=1)
    replace(file, OTHER)
    until(lambda: daemon.times_said("warning redis refuses another password") == 1, "the refusal in the log")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    # Nobody asks whether the one before it is better while it can't be read; that is said once.
    file.unlink()
    until(lambda: daemon.times_said("warning the password of redis can't be read") == 1, "the missing file in the log")
    replace(file, PASSWORD)
    until(lambda: daemon.times_said("notice the password of redis has changed") == 2, "the password being read")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert daemon.times_said("warning the password of redis can't be read") == 1


def test_without_a_password_it_is_told_where_to_give_it(redis, locked):
    """tollgatectl says what to set."""
    done = Control(redis.url).run("org", "list")
    assert done.returncode == 77
    assert "asks for a password; give it in TOLLGATE_REDIS_PASSWORD" in done.stderr
