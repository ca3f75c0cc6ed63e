# SPDX-License-Identifier: Apache-2.0
"""What answers where Redis is looked for is named, by the daemon and by tollgatectl, in the same words."""

import re
import shutil
import subprocess

import pytest
from fixtures.feigned_redis import FeignedRedis, identity, passed_on
from fixtures.ports import free_port
from fixtures.programs import Control
from fixtures.redis_server import RedisServer
from fixtures.wire import accepts, ask, until

SENTINEL = "this is a Sentinel: to find the primary by it, write redis+sentinel://HOST:PORT/NAME"
CLUSTER = "this is a node of a cluster: write redis+cluster://HOST:PORT"
REPLICA = "this is a replica: give the address of its primary"
TLS = "it speaks TLS: begin its URL with rediss://"
RESET = "before its first answer; does it speak TLS? rediss://"


def is_named(launch, upstream, url: str, reason: str, words: str, code: int = 69):
    """`words`: as the daemon's log and the command line have them."""
    daemon = launch(upstream, redis_url=url, ready=False)

    def is_told() -> bool:
        answer = ask(daemon.admin, "GET", "/readyz")
        return answer.status == 503 and answer.json().get("reason") == reason

    until(is_told, f"/readyz saying {reason}: {daemon.said()}")
    said = re.findall(r'error redis unavailable .*redis\.error="(.*)"$', daemon.said(), re.MULTILINE)
    # One loop tells it for all.
    assert said == [words], daemon.said()
    done = Control(url).run("org", "list")
    assert done.returncode == code and done.stdout == ""
    assert done.stderr.startswith("tollgatectl: ") and done.stderr.count("\n") == 1
    assert words in done.stderr, done.stderr
    return daemon


@pytest.fixture
def server(folder):
    """Starts a redis-server with arguments, on a port of its own."""
    started: list[subprocess.Popen] = []

    def start(*arguments: str, port_option: str = "--port") -> int:
        port = free_port()
        place = folder / f"server{len(started)}"
        place.mkdir()
        started.append(
            subprocess.Popen(
                [shutil.which("redis-server"), *arguments, port_option, str(port), "--dir", str(place), "--save", ""],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        # Whoever asks before it listens hears another trouble first.
        until(lambda: accepts(port), "a server listening")
        return port

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_sentinel(launch, upstream, folder, server):
    configuration = folder / "sentinel.conf"
    configuration.write_text("bind 127.0.0.1\n")
    port = server(str(configuration), "--sentinel")
    is_named(launch, upstream, f"redis://127.0.0.1:{port}/0", "sentinel", SENTINEL)


def test_a_node_of_a_cluster(launch, upstream, server):
    port = server("--cluster-enabled", "yes", "--bind", "127.0.0.1", "--cluster-port", str(free_port()))
    is_named(launch, upstream, f"redis://127.0.0.1:{port}/0", "cluster", CLUSTER)


def test_a_replica_is_named_before_anything_is_asked_of_it(launch, upstream, redis):
    redis("REPLICAOF", "127.0.0.1", "1")
    daemon = is_named(launch, upstream, redis.url, "replica", REPLICA)
    assert "READONLY" not in daemon.said()
    redis("REPLICAOF", "NO", "ONE")
    daemon.wait_until_ready()


@pytest.fixture
def certificate(folder):
    """A key and a certificate of its own."""
    files = (folder / "key.pem", folder / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", str(files[0]), "-out", str(files[1])],
        check=True, capture_output=True,
    )  # fmt: skip
    return [str(file) for file in files]


def test_a_port_of_redis_that_speaks_tls(launch, upstream, server, certificate):
    key, chain = certificate
    port = server(
        "--tls-cert-file", chain, "--tls-key-file", key, "--tls-ca-cert-file", chain, "--tls-auth-clients", "no",
        "--bind", "127.0.0.1", "--port", "0", port_option="--tls-port",
    )  # fmt: skip
    url = f"redis://127.0.0.1:{port}/0"
    daemon = launch(upstream, redis_url=url, ready=False)
    until(lambda: re.search("TLS", daemon.said()), "the daemon naming TLS")
    done = Control(url).run("org", "list")
    assert done.returncode == 69 and "TLS" in done.stderr


@pytest.fixture
def feign():
    feigned: list[FeignedRedis] = []

    def start(answer) -> FeignedRedis:
        feigned.append(FeignedRedis(answer))
        return feigned[-1]

    yield start
    for one in feigned:
        one.close()


def test_a_tls_record(launch, upstream, feign):
    is_named(launch, upstream, feign(lambda command: b"\x15\x03\x03\x00\x02\x02\x46").url, "tls", TLS)


def test_an_old_redis(launch, upstream, feign):
    old = feign(lambda command: identity("6.2.14") if b"HELLO" in command else b"-NOAUTH\r\n")
    is_named(launch, upstream, old.url, "too_old", "Redis 6.2.14 is too old: 7.0 or later, or Valkey")


def test_one_from_before_hello(launch, upstream, feign):
    def answer(command: bytes) -> bytes:
        if b"AUTH" in command and b"HELLO" not in command:
            return b"+OK\r\n"
        if b"INFO" in command:
            return b"$38\r\n# Server\r\nredis_version:5.0.14\r\nrole:m\r\n"
        return b"-ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `app`, `s3cretword`, \r\n"

    url = feign(answer).url.replace("//", "//app:s3cretword@")
    daemon = is_named(launch, upstream, url, "too_old", "Redis 5.0.14 is too old: 7.0 or later, or Valkey")
    assert "s3cretword" not in daemon.said()


def test_a_connection_that_is_reset(launch, upstream, feign):
    words = f"not connected: connection reset {RESET}"
    daemon = launch(upstream, redis_url=(url := feign(lambda command: None).url), ready=False)
    until(lambda: words in daemon.said(), f"the daemon asking: {daemon.said()}")
    done = Control(url).run("org", "list")
    assert (done.returncode, done.stderr.count("\n")) == (69, 1) and f"connection reset {RESET}" in done.stderr


def test_max_number_of_clients_survives_the_reset(launch, upstream, server):
    """A full server closes at once, which what we send resets: nothing is sent beside the greeting to one that refused."""
    port = server("--bind", "127.0.0.1", "--maxclients", "1")
    url = f"redis://127.0.0.1:{port}/0"
    full = "ERR max number of clients reached"
    daemon = launch(upstream, redis_url=url, ready=False, loops=2)
    until(lambda: full in daemon.said(), f"the daemon naming it: {daemon.said()}")
    done = Control(url).run("org", "list")
    assert (done.returncode, done.stdout) == (69, "") and "max number of clients reached" in done.stderr


def test_several_hosts_are_named(launch, upstream):
    words = (
        "it lists several hosts: with sentinels write redis+sentinel://h1,h2/NAME, for a cluster "
        "redis+cluster://h1,h2, else the primary alone"
    )
    url = "redis://h1:26379,h2:26379/0"
    done = Control(url).run("org", "list")
    assert done.returncode == 64 and f"TOLLGATE_REDIS_URL: {words}" in done.stderr
    daemon = launch(upstream, redis_url=url, wait=False)
    assert daemon.wait() == 78 and words in daemon.said()


def test_valkey_is_a_spelling_of_redis(launch, upstream, server):
    port = server("--bind", "127.0.0.1")
    url = f"valkey://127.0.0.1:{port}/0"
    assert ask(launch(upstream, redis_url=url).admin, "GET", "/readyz").status == 200
    assert Control(url)("org", "list", "--json") == ""


def test_a_server_that_closes_what_is_idle_is_no_trouble(launch, upstream, key, redis, folder):
    """No line above debug, and no request fails."""
    redis("CONFIG", "SET", "timeout", "1")
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    until(lambda: daemon.times_said("debug redis closed an idle connection") >= 4, "connections being closed")
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    lines = [line for line in daemon.said().splitlines() if " redis " in line and line.split()[1] != "debug"]
    # As it started.
    assert [line.split(" ", 2)[1] for line in lines] == ["info"], lines


def test_no_source_or_argument_of_a_script_is_quoted(launch, upstream, redis, key):
    """Neither by a user who may not, nor by a command that isn't there."""
    redis("ACL", "SETUSER", "app", "on", ">s3cretword", "~*", "&*", "+@all", "-script", "-evalsha")
    url = redis.url.replace("unix:", "unix://app:s3cretword@")
    daemon = launch(upstream, redis_url=url, ready=False)
    until(lambda: "NOPERM" in daemon.said(), "the refusal")
    done = Control(url).run("org", "create", "quotedname")
    assert done.returncode == 77
    for text in (daemon.said(), done.stdout + done.stderr):
        for word in ("args beginning with", "script:", "#!lua", "redis.call", "s3cretword", "tg:1:"):
            assert word not in text, text


def test_what_an_error_within_a_script_adds_is_cut(launch, upstream, redis, key):
    daemon = launch(upstream)
    assert ask(daemon.port, "GET", "/api/listings", key).status == 200
    redis("DEL", "tg:1:{acme}")
    redis("SET", "tg:1:{acme}", "of another type")
    until(lambda: ask(daemon.port, "GET", "/api/listings", key).status == 503, "the script failing")
    until(lambda: "WRONGTYPE" in daemon.said(), "the line in the log")
    done = Control(redis.url).run("org", "show", "acme")
    assert done.returncode != 0
    for text in (daemon.said(), daemon.access.read_text(), done.stderr):
        for word in ("script: ", "user_script", "#!lua", "args beginning"):
            assert word not in text, text


def test_scripts_that_are_loaded_on_another_node(launch, upstream, redis, folder, feign, key):
    """As behind proxies, and on serverless Redis: a call is answered by NOSCRIPT however often its script is loaded."""
    (folder / "other").mkdir()
    other = RedisServer(folder / "other")
    other.start()
    try:

        def answer(command: bytes) -> bytes:
            return passed_on(other.path if b"\r\nSCRIPT\r\n" in command else redis.path, command)

        url = feign(answer).url
        policies = [{"name": "org", "per": "org", "limit": "1000/1d"}]
        daemon = launch(upstream, redis_url=url, loops=1, policies=policies)
        for _ in range(3):
            redis("SCRIPT", "FLUSH")
            redis("CONFIG", "RESETSTAT")
            before = ask(daemon.port, "GET", "/api/listings", key).limits()[1]
            assert ask(daemon.port, "GET", "/api/listings", key).limits()[1] == before - 1
            assert b"cmdstat_eval:" in redis("INFO", "commandstats")
        redis("SCRIPT", "FLUSH")
        assert '"acme"' in Control(url)("org", "list", "--json")
        assert b"cmdstat_eval:" not in other("INFO", "commandstats")
    finally:
        other.stop()
