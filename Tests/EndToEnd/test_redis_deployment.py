# SPDX-License-Identifier: Apache-2.0
"""deploy/redis: what the product needs its users may do, and nothing else."""

import hashlib
import json
import os
import re
import socket
import subprocess
from copy import copy

import pytest
from fixtures.authority import Authority
from fixtures.ports import free_port
from fixtures.programs import ROOT, Control, built
from fixtures.redis_server import RedisServer, read_reply
from fixtures.sentinels import PATIENCE
from fixtures.server import Server
from fixtures.wire import ask, until

USERS = ROOT / "deploy/redis/users.acl"
CONFIGURATION = ROOT / "deploy/redis/redis.conf"
PASSWORD = "s3cret of users"
SIDECAR, OPERATOR, ADMIN = "tollgate", "tollgatectl", "admin"


class DeployedRedis(RedisServer):
    """By the files as they are, but for places and a password."""

    def start(self, wait: bool = True):
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        users, configuration = self.folder / "users.acl", self.folder / "redis.conf"
        users.write_text(re.sub(r" on resetpass ", f" on #{digest} ", USERS.read_text()))
        text = CONFIGURATION.read_text().replace("/etc/redis/users.acl", str(users)).replace("/var/lib/redis", str(self.folder))
        configuration.write_text(self.changed(text.replace("\nport 6379", f"\nport 0\nunixsocket {self.path}")))
        self.process = subprocess.Popen(
            ["redis-server", str(configuration)], stdout=(self.folder / "redis.log").open("wb"), stderr=subprocess.STDOUT
        )
        if wait:
            until(self.answers, "redis-server answering")

    def changed(self, text: str) -> str:
        """What else its operator has changed."""
        return text

    def all(self, commands: list[tuple]) -> list:
        return self.all_as(ADMIN, commands)
    def all_as(self, user: str, commands: list[tuple]) -> list:
        """As `all` of any server; an error is its text."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.path))
            stream = connection.makefile("rwb")

            def say(arguments: tuple):
                parts = [part if isinstance(part, bytes) else str(part).encode() for part in arguments]
                stream.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
                stream.flush()
                return read_reply(stream)

            assert say(("AUTH", user, PASSWORD)) == b"OK"
            return [say(arguments) for arguments in commands]

    def refusal(self, user: str, *command: str) -> str:
        """The first word of the error that it is answered by; nothing where it is carried out."""
        try:
            self.all_as(user, [command])
        except RuntimeError as error:
            return str(error).split()[0]
        return ""

    def url_of(self, user: str) -> str:
        return f"unix://{user}:{PASSWORD.replace(' ', '%20')}@{self.path}"

    def denials(self) -> list[dict]:
        entries = self("ACL", "LOG")
        return [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in entries]


@pytest.fixture
def redis(folder):
    server = DeployedRedis(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def operator(redis) -> Control:
    return Control(redis.url_of(OPERATOR))


POLICIES = [
    {"name": "org", "per": "org", "limit": "1000/10s"},
    {"name": "daily", "per": "key", "quota": "1000/day"},
    {"name": "calls", "per": "key", "concurrency": 5},
    {"name": "address", "per": "address", "limit": "1000/10s"},
    {"name": "all", "per": "global", "limit": "1000/10s"},
]


def verify(operator: Control, key: str):
    done = subprocess.run(
        [built("tollgatectl"), "key", "verify"], input=key, capture_output=True, text=True,
        env={**os.environ, "TOLLGATE_REDIS_URL": operator.url}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def run_all_verbs(operator: Control, sidecar_runs) -> None:
    """Each verb that does something in Redis, in an order in which each has something to do."""
    operator("org", "create", "acme")
    operator("org", "set", "acme", "--max-active-keys", "9")
    operator("org", "limit", "acme", "org=900/10s")
    operator("plan", "set", "pro", "org=800/10s")
    operator("plan", "show", "pro")
    operator("plan", "list")
    operator("org", "plan", "acme", "pro")
    operator("org", "suspend", "acme")
    operator("org", "resume", "acme")
    issued = json.loads(operator.run("key", "issue", "--org", "acme", "--name", "laptop", "--json").stdout)
    sidecar_runs(issued["key"])
    operator("key", "limit", issued["id"], "daily=900/day")
    operator("key", "list", "--org", "acme")
    operator("key", "show", issued["id"])
    verify(operator, issued["key"])
    rotated = json.loads(operator.run("key", "rotate", issued["id"], "--json").stdout)
    operator("quota", "show", issued["id"])
    operator("quota", "grant", issued["id"], "daily", "1")
    operator("quota", "reset", issued["id"], "--yes")
    operator("quota", "reset", "--global", "all", "--yes")
    operator("usage", "acme", "--by", "tool")
    operator("routes")
    operator("audit", "acme")
    operator("org", "list")
    operator("org", "show", "acme")
    operator("database", "show")
    operator("key", "revoke", rotated["id"])
    operator("org", "plan", "acme", "--none")
    operator("plan", "delete", "pro")
    operator("org", "delete", "acme", "--yes")


def test_all_that_the_product_does_its_users_may(launch, upstream, redis, operator):
    daemon = launch(upstream, redis_url=redis.url_of(SIDECAR), policies=POLICIES)

    def sidecar_runs(key: str):
        for _ in range(3):
            assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        assert ask(daemon.port, "GET", "/api/listings", "mcp_nobody").status == 401
        until(lambda: redis.names("tg:1:{acme}:u:*"), "usage being counted")

    run_all_verbs(operator, sidecar_runs)
    daemon.stop()
    assert redis.denials() == [], redis.denials()
    assert "NOPERM" not in daemon.said()


def commands(user: str) -> set[str]:
    line = re.search(rf"^user {user} .*$", USERS.read_text(), re.MULTILINE)[0]
    assert " -@all " in line and "+@" not in line and "~tg:* " in line and " resetchannels " in line
    return set(re.findall(r"\+(\S+)", line))


def sources(*folders: str) -> str:
    files = sorted(file for folder in folders for file in (ROOT / "Sources" / folder).rglob("*.swift"))
    return "\n".join(file.read_text() for file in files)


def test_the_users_have_the_commands_that_the_sources_have_and_no_other():
    scripts = {name.lower() for name in re.findall(r"\bcall\('([A-Z]+)'", sources("Keyspace"))}
    plain = {name.lower() for name in re.findall(r'(?:\bsend|answer|RedisCommand)\(\s*"([A-Z]+)"', sources("Directory", "Redis"))}
    sections = {f"info|{name}" for name in re.findall(r'\binfo\("(\w+)"\)', sources("Directory", "Redis"))}
    # A server that has no HELLO may be asked who it is by INFO, and may refuse to tell. CONFIG is only asked where there is no
    # append-only file, and this one has one; WAITAOF is a word that Redis 7.0 doesn't know.
    # Sentinels are asked by users of their own.
    unneeded = {"script", "info", "config", "waitaof", "sentinel", "subscribe", "cluster"}
    slots = {f"cluster|{name.lower()}" for name in re.findall(r'\bquestion\("([A-Z]+)"\)', sources("Redis"))}
    wanted = scripts | (plain - unneeded) | {"script|load"} | sections | slots
    assert commands(SIDECAR) | commands(OPERATOR) == wanted
    assert {command for command in commands(SIDECAR) if "info" in command} == {"info|memory", "info|stats"}


def test_the_guest_of_sentinels_has_the_commands_that_are_asked():
    line = re.search(r"^user tollgate .*$", (ROOT / "deploy/redis/sentinel-users.acl").read_text(), re.MULTILINE)[0]
    asked = re.search(r"\[\[\"MASTER.*?\]\]", sources("Redis/Sentinel"))[0]
    words = {word.lower() for word in re.findall(r'\["([A-Z-]+)"', asked)}
    assert words == {"master", "get-master-addr-by-name", "sentinels", "myid"}
    assert set(re.findall(r"\+([a-z]\S+)", line.replace("&+switch-master", ""))) == {
        "hello", "auth", "info", "subscribe", *(f"sentinel|{word}" for word in words)
    }  # fmt: skip
    assert " resetchannels &+switch-master -@all " in line


def test_sentinels_by_our_users_let_nobody_in_without_a_password(folder):
    """And know each other by the user that ships: two of them find each other by way of a primary."""
    users = (ROOT / "deploy/redis/sentinel-users.acl").read_text().replace(" on resetpass ", " on resetpass >secret ")
    primary = Server(folder / "primary", ["--save", ""])
    sentinels = [Server(folder / f"sentinel{index}", []) for index in range(2)]
    try:
        primary.start()
        for sentinel in sentinels:
            (sentinel.folder / "users.acl").write_text(users)
            file = sentinel.folder / "sentinel.conf"
            file.write_text(
                f"aclfile {sentinel.folder / 'users.acl'}\nrequirepass other\n"
                f"sentinel sentinel-user sentinel\nsentinel sentinel-pass secret\n"
                f"sentinel monitor m 127.0.0.1 {primary.port} 2\nsentinel down-after-milliseconds m 1000\n"
            )
            sentinel.arguments, sentinel.user = [str(file), "--sentinel"], "admin secret"
            sentinel.start()

        def known(sentinel: Server) -> dict[bytes, bytes]:
            words = sentinel("SENTINEL", "MASTER", "m")
            return dict(zip(words[::2], words[1::2]))

        for sentinel in sentinels:
            with pytest.raises(RuntimeError, match="NOAUTH"):
                anybody(sentinel)("SENTINEL", "MASTERS")
            until(lambda: known(sentinel)[b"num-other-sentinels"] == b"1", "the sentinels finding each other", PATIENCE)
        primary.kill()
        # Each says so, and is asked by the other: both have to agree.
        until(lambda: all(b"o_down" in known(one)[b"flags"] for one in sentinels), "both agreeing", PATIENCE, 0.1)
    finally:
        for server in [*sentinels, primary]:
            server.stop()


def anybody(server: Server) -> Server:
    """A server, asked by somebody without a user."""
    asked = copy(server)
    asked.password = asked.user = ""
    return asked


#: What a sidecar runs of the operators' side, beside what admission asks.
MAINTENANCE = ("Directory/Retention.swift", "Directory/Publishing")


def test_each_user_may_run_the_scripts_of_its_own():
    """The commands of a script in full, those of what it is made of among them: an hour may pass before one is met with."""
    text = sources("Keyspace")
    bodies = dict(re.findall(r'let (\w+) = """\n(.*?)"""', text, re.DOTALL))
    bodies |= {name: body for name, body in re.findall(r"let (\w+) = RedisScript\((.*?)(?=\n    /// |\n    package static|\n}\n)", text, re.DOTALL)}

    def calls(name: str) -> set[str]:
        body = bodies[name]
        within = [part for part in re.findall(r"\\\((\w+)\)|source: (\w+)", body) for part in part if part in bodies]
        return {call.lower() for call in re.findall(r"\bcall\('([A-Z]+)'", body)}.union(*map(calls, within))

    def scripts(*places: str) -> set[str]:
        paths = [ROOT / "Sources" / place for place in places]
        files = [file for path in paths for file in (path.rglob("*.swift") if path.is_dir() else [path])]
        named = re.findall(r"(?:RedisScript|RedisCommand\(\s*|command\(\s*|answer\(\s*|evaluate\(\s*)\.(\w+)", "\n".join(file.read_text() for file in files))
        return {name for name in named if name in bodies}

    # Retention does so by what Directory+Completion has for both.
    ran = scripts("Admission", *MAINTENANCE) | {"removeUnfinished", "removePointer"}
    assert {"admit", "usage", "beat", "revokeKey", "removeUnfinished", "removeEnded", "publishExpiring"} <= ran
    for name in ran:
        assert calls(name) <= commands(SIDECAR), name
    operated = scripts("Directory/Organizations", "Directory/Import", "Directory/Quotas", "Directory/Usage", "Directory/Database.swift")
    assert {"importKeys", "issueKey", "finishRotation", "changeOrganization", "adoptDatabase", "removeUnfinished"} <= operated
    for name in operated:
        assert calls(name) <= commands(OPERATOR), name


#: What would destroy or give away data, the server or somebody else's.
FORBIDDEN = [
    ("FLUSHALL",), ("FLUSHDB",), ("SWAPDB", "0", "1"), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/"),
    ("ACL", "LIST"), ("ACL", "SETUSER", "tollgate", "+@all"), ("SHUTDOWN", "NOSAVE"), ("SAVE",),
    ("BGREWRITEAOF",), ("REPLICAOF", "NO", "ONE"), ("MONITOR",), ("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal"),
    ("MODULE", "LIST"), ("SCRIPT", "FLUSH"), ("SCRIPT", "KILL"), ("FUNCTION", "LIST"), ("SLOWLOG", "GET"), ("INFO",), ("INFO", "server"), ("INFO", "clients"), ("INFO", "everything"),
    ("MIGRATE", "h", "1", "tg:1", "0", "1"), ("DUMP", "tg:1:{:m}:meta"), ("RENAME", "tg:1", "tg:2"), ("PUBLISH", "tg:1", "x"),
    ("SUBSCRIBE", "tg:1"), ("OBJECT", "ENCODING", "tg:1"), ("RANDOMKEY",), ("DBSIZE",), ("COPY", "tg:1", "tg:2"),
    ("GET", "other:1"), ("SET", "other:1", "x"), ("DEL", "other:1"), ("GET", "t"), ("HGET", "tgx:1", "f"),
    ("EVAL", "return redis.call('GET', KEYS[1])", "1", "other:1"),
    ("EVAL", "return redis.call('SET', 'other:1', 'x')", "0"),
    ("EVAL", "return redis.call('KEYS', '*')", "0"),
    ("EVAL", "return redis.call('FLUSHALL')", "0"),
]  # fmt: skip


@pytest.mark.parametrize("user", [SIDECAR, OPERATOR])
def test_whatever_else_there_is_is_refused(redis, user):
    redis("SET", "other:1", "precious")
    for command in FORBIDDEN:
        # Within a script it is an error of the script.
        expected = {"NOPERM", "ERR"} if command[0] == "EVAL" else {"NOPERM"}
        assert redis.refusal(user, *command) in expected, command
    assert redis("GET", "other:1") == b"precious"
    assert len(redis.denials()) > 0


def test_nobody_gets_in_as_it_ships():
    """Before a password was made: not as any of them, and never as the default user."""
    users = USERS.read_text()
    assert re.findall(r"^user (\S+) (\S+)", users, re.MULTILINE) == [
        ("default", "off"), ("admin", "on"), (SIDECAR, "on"), (OPERATOR, "on"),
    ]  # fmt: skip
    for word in ("nopass", " >", " #"):
        assert word not in users


def test_the_default_user_is_off(redis):
    for url in (redis.url, f"unix://:{PASSWORD.replace(' ', '%20')}@{redis.path}"):
        done = Control(url).run("org", "list")
        assert done.returncode == 77, done.stderr
        assert PASSWORD not in done.stderr


def test_every_line_of_the_configuration_is_one_that_redis_goes_by(redis):
    """And has its reason above it."""
    lines = CONFIGURATION.read_text().splitlines()
    reasons = 0
    for number, line in enumerate(lines):
        if line.startswith("#") or not line:
            continue
        name, _, value = line.partition(" ")
        above = next(text for text in reversed(lines[:number]) if text.startswith("#") or not text)
        reasons += above.startswith("#")
        assert above.startswith("#"), f"no reason for {line}"
        assert redis("CONFIG", "GET", name), line
    assert reasons > 15
    assert redis("CONFIG", "GET", "maxmemory-policy") == [b"maxmemory-policy", b"noeviction"]
    assert redis("CONFIG", "GET", "appendonly") == [b"appendonly", b"yes"]


class SecuredRedis(DeployedRedis):
    """Its lines about TLS are taken in."""

    def __init__(self, folder):
        super().__init__(folder)
        self.port = free_port()
        self.authority = Authority(folder / "pki", "ca")
        self.authority.issue("redis", "localhost")

    def changed(self, text: str) -> str:
        lines = re.findall(r"^#(tls-.*)$", text, re.MULTILINE)
        assert [line.split()[0] for line in lines] == [
            "tls-port", "tls-cert-file", "tls-key-file", "tls-ca-cert-file", "tls-auth-clients",
        ]  # fmt: skip
        secured = re.sub(r"^#(?=tls-)", "", text, flags=re.MULTILINE)
        return secured.replace("/etc/redis/", f"{self.authority.folder}/").replace("tls-port 6380", f"tls-port {self.port}")


def test_its_lines_about_tls(folder, launch, upstream):
    place = folder / "secured"
    place.mkdir()
    redis = SecuredRedis(place)
    redis.start()
    try:
        url = f"rediss://{SIDECAR}:{PASSWORD.replace(' ', '%20')}@localhost:{redis.port}/0"
        daemon = launch(upstream, redis_url=url, redis_settings={"tls": {"ca": str(redis.authority.file)}})
        key = Control(redis.url_of(OPERATOR)).issue()["key"]
        assert ask(daemon.port, "GET", "/api/listings", key).status == 200
        daemon.stop()
    finally:
        redis.stop()
