# SPDX-License-Identifier: Apache-2.0
"""Redis by TLS: for daemon and command line, with the certificates of a real redis-server."""

import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from contextlib import suppress

import pytest
from fixtures import noted
from fixtures.authority import DAY, Authority
from fixtures.ports import free_port
from fixtures.programs import built
from fixtures.redis_server import RedisServer
from fixtures.wire import Stopwatch, ask, until

PATH = "/api/listings"
SILENT = "the TLS handshake wasn't finished in time; is it the server's tls-port?"


@pytest.fixture
def authority(folder) -> Authority:
    return Authority(folder / "pki")


@pytest.fixture
def names() -> list[str]:
    """That the server's certificate is for."""
    return ["localhost", "127.0.0.1"]


@pytest.fixture
def redis(folder, authority, names):
    """On a TLS port, and on a Unix socket for the test's own commands."""
    pair = authority.issue("redis", *names)
    server = RedisServer(
        folder, arguments=["--tls-port", str(free_port()), "--bind", "127.0.0.1", *pair_arguments(pair, authority)]
    )
    server.start()
    yield server
    server.stop()


def pair_arguments(pair, authority) -> list[str]:
    return [
        "--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key),
        "--tls-ca-cert-file", str(authority.file), "--tls-auth-clients", "no",
    ]  # fmt: skip


def port(redis: RedisServer) -> int:
    return int(redis.arguments[1])


def url(redis: RedisServer, host: str = "localhost") -> str:
    return f"rediss://{host}:{port(redis)}/0"


def set_pair(redis: RedisServer, pair):
    """Has a running server show another certificate."""
    redis("CONFIG", "SET", "tls-cert-file", str(pair.certificate), "tls-key-file", str(pair.key))


def control(*arguments: str, **env: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    done = subprocess.run(
        [built("tollgatectl"), *arguments], env={**environment, **env},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    noted.note_all(done.stdout)
    return done


def is_told(daemon, reason: str, words: str):
    """By /readyz, by the log and by tollgatectl, which finds all it needs in the daemon's file."""

    def reasons() -> bool:
        answer = ask(daemon.admin, "GET", "/readyz")
        return answer.status == 503 and answer.json().get("reason") == reason

    until(reasons, f"/readyz saying {reason}: {daemon.said()}")
    said = re.findall(r'error redis unavailable .*redis\.error="(.*)"$', daemon.said(), re.MULTILINE)
    # One loop tells it for all.
    assert said == [words], daemon.said()
    done = control("org", "list", "--config", str(daemon.config))
    assert done.returncode == 69 and done.stdout == ""
    assert done.stderr.startswith("tollgatectl: ") and done.stderr.count("\n") == 1
    assert words in done.stderr, done.stderr


def test_a_call_and_a_key(launch, upstream, redis, key, authority):
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(authority.file)}})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    done = control("key", "issue", "--org", "acme", "--name", "other", "--config", str(daemon.config))
    assert (done.returncode, done.stderr) == (0, "")
    issued = re.search(r"mcp_[A-Za-z0-9_-]{43}", done.stdout)[0]
    assert ask(daemon.port, "GET", PATH, issued).status == 200
    # Nothing else listens: the port is none, and these were asked there.
    assert redis("CONFIG", "GET", "port") == [b"port", b"0"]
    assert f"redis={url(redis)}" in daemon.said()


def test_by_variables_alone(launch, upstream, redis, key, authority):
    env = {"TOLLGATE_REDIS_URL": url(redis).replace("rediss", "valkeys"), "TOLLGATE_REDIS_TLS_CA": str(authority.file)}
    daemon = launch(upstream, env=env)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    done = control("org", "list", **env)
    assert (done.returncode, done.stderr) == (0, "") and "acme" in done.stdout
    # A variable has the sidecars' file in force, but for what it says itself.
    file = {"TOLLGATE_CONFIG": str(daemon.config)}
    done = control("org", "list", **env, **file, TOLLGATE_REDIS_TLS_SERVER_NAME="redis.example")
    assert done.returncode == 69
    assert f"the certificate of localhost:{port(redis)} is for other names than redis.example" in done.stderr


def test_whom_the_system_trusts(launch, upstream, redis, key, authority):
    """Which is a file that OpenSSL's variable names as well."""
    daemon = launch(upstream, redis_url=url(redis), env={"SSL_CERT_FILE": str(authority.file)})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    done = control("org", "list", TOLLGATE_REDIS_URL=url(redis), SSL_CERT_FILE=str(authority.file))
    assert (done.returncode, done.stderr) == (0, "")


def test_an_authority_that_is_not_trusted(launch, upstream, redis, folder):
    other = Authority(folder / "pki", "other")
    daemon = launch(
        upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(other.file)}}, ready=False
    )
    is_told(daemon, "certificate", f"the certificate of localhost:{port(redis)} isn't signed by redis.tls.ca")


def test_an_authority_that_the_system_does_not_trust(launch, upstream, redis, folder, monkeypatch):
    other = Authority(folder / "pki", "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
    daemon = launch(upstream, redis_url=url(redis), ready=False)
    words = f"the certificate of localhost:{port(redis)} isn't signed by an authority that the system trusts"
    is_told(daemon, "certificate", f"{words} (redis.tls.ca)")


@pytest.mark.parametrize("names", [["redis.example"]])
def test_a_certificate_for_another_name(launch, upstream, redis, key, authority):
    settings = {"ca": str(authority.file)}
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": settings}, ready=False)
    words = f"the certificate of localhost:{port(redis)} is for other names than localhost (redis.tls.server_name)"
    is_told(daemon, "certificate", words)
    daemon.reload(redis={**daemon.settings["redis"], "tls": {**settings, "server_name": "redis.example"}})
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", PATH, key).status == 200


@pytest.mark.parametrize("life, words", [
    ((-2 * DAY, -DAY), "has expired"), ((DAY, 2 * DAY), "isn't valid yet; is the clock right?"),
])  # fmt: skip
def test_a_certificate_of_another_time(launch, upstream, redis, key, authority, life, words):
    set_pair(redis, authority.issue("old", "localhost", life=life))
    daemon = launch(
        upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(authority.file)}}, ready=False
    )
    is_told(daemon, "certificate", f"the certificate of localhost:{port(redis)} {words}")
    set_pair(redis, authority.issue("new", "localhost"))
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", PATH, key).status == 200


@pytest.mark.parametrize("names", [["127.0.0.1"], ["localhost"]])
def test_an_address(launch, upstream, redis, key, authority, names):
    """It is compared with addresses that the certificate names."""
    daemon = launch(
        upstream, redis_url=url(redis, "127.0.0.1"), redis_settings={"tls": {"ca": str(authority.file)}}, ready=False
    )
    if names == ["127.0.0.1"]:
        daemon.wait_until_ready()
        assert ask(daemon.port, "GET", PATH, key).status == 200
    else:
        words = f"the certificate of 127.0.0.1:{port(redis)} is for other names than 127.0.0.1 (redis.tls.server_name)"
        is_told(daemon, "certificate", words)


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_a_client_certificate(launch, upstream, redis, key, authority, folder, protocol):
    redis("CONFIG", "SET", "tls-protocols", protocol)
    redis("CONFIG", "SET", "tls-auth-clients", "yes")
    client, stranger = authority.issue("client"), Authority(folder / "pki", "other").issue("stranger")
    trust = {"ca": str(authority.file)}
    daemon = launch(
        upstream, redis_url=url(redis), redis_settings={"tls": {**trust, **client.settings()}}
    )
    assert ask(daemon.port, "GET", PATH, key).status == 200
    done = control("org", "list", "--config", str(daemon.config))
    assert (done.returncode, done.stderr) == (0, "")
    variables = {
        "TOLLGATE_REDIS_URL": url(redis), "TOLLGATE_REDIS_TLS_CA": str(authority.file),
        "TOLLGATE_REDIS_TLS_CERTIFICATE": str(stranger.certificate), "TOLLGATE_REDIS_TLS_KEY": str(stranger.key),
    }  # fmt: skip
    done = control("org", "list", **variables)
    words = f"localhost:{port(redis)} refuses the client certificate (redis.tls.certificate): unknown ca"
    assert done.returncode == 69 and words in done.stderr, done.stderr
    refused = launch(upstream, redis_url=url(redis), redis_settings={"tls": trust}, ready=False)
    wants = f"localhost:{port(redis)} wants a client certificate (redis.tls.certificate)"
    closed = "before its first answer; does it want a client certificate (redis.tls.certificate)?"
    declines = f"localhost:{port(redis)} declines TLS; does it want a client certificate (redis.tls.certificate)?"
    told = [declines] if protocol == "TLSv1.2" else [wants, closed]
    until(lambda: any(words in refused.said() for words in told), "the want being told")


def test_a_name_is_no_address(launch, upstream, authority):
    """Whoever changes what a name leads to may have a certificate for his own address, and gets no password for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("stranger", "127.0.0.1").certificate, authority.folder / "stranger.key")
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                heard.append(secured.recv(65536))

    threading.Thread(target=listen, daemon=True).start()
    address = f"localhost:{listener.getsockname()[1]}"
    daemon = launch(
        upstream, redis_url=f"rediss://:geheim@{address}/0", redis_settings={"tls": {"ca": str(authority.file)}},
        ready=False,
    )  # fmt: skip
    is_told(daemon, "certificate", f"the certificate of {address} is for other names than localhost (redis.tls.server_name)")
    until(lambda: heard, "a handshake that came to its end")
    listener.close()
    assert set(heard) == {b""}


@pytest.mark.parametrize("names", [["127.0.0.1"], []])
def test_a_certificate_that_names_no_host(launch, upstream, redis, authority):
    """For the address alone, or for nobody: a common name counts for nothing."""
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(authority.file)}}, ready=False)
    words = f"the certificate of localhost:{port(redis)} is for other names than localhost (redis.tls.server_name)"
    is_told(daemon, "certificate", words)


@pytest.mark.parametrize("name", ["redis.example:6380", "10.0.0.5", "::1", "my_redis"])
def test_the_name_of_a_variable_is_the_name_of_a_host(redis, authority, name):
    """One that is none would have the certificate compared with the address alone."""
    variables = {"TOLLGATE_REDIS_TLS_CA": str(authority.file), "TOLLGATE_REDIS_TLS_SERVER_NAME": name}
    done = control("org", "list", "--redis", url(redis), **variables)
    assert done.returncode == 64
    assert "TOLLGATE_REDIS_TLS_SERVER_NAME: expected the name of a host, which no address is" in done.stderr


def test_without_tls_no_variable_of_tls_is_passed_over(redis, authority):
    """A typing error in a URL sends no password to whoever listens."""
    plain = f"redis://:geheim@localhost:{port(redis)}/0"
    done = control("org", "list", TOLLGATE_REDIS_URL=plain, TOLLGATE_REDIS_TLS_CA=str(authority.file))
    assert done.returncode == 64
    words = "TOLLGATE_REDIS_TLS_CA is of use with rediss:// alone, which TOLLGATE_REDIS_URL hasn't"
    assert words in done.stderr and "geheim" not in done.stderr


def test_who_another_redis_is_says_nothing_of_this_one(launch, upstream, redis, authority):
    """The name in the sidecars' file is that of the Redis there."""
    tls = {"ca": str(authority.file), "server_name": "elsewhere.example"}
    daemon = launch(upstream, redis_url="rediss://127.0.0.1:1/0", redis_settings={"tls": tls}, ready=False)
    done = control("org", "list", "--config", str(daemon.config), "--redis", url(redis))
    assert done.returncode == 0 and "No organizations yet" in done.stderr


def test_the_password_goes_by_tls_and_changes(launch, upstream, redis, key, authority, folder):
    file = folder / "password"
    file.write_text("first")
    redis("ACL", "SETUSER", "app", "on", ">first", "~*", "&*", "+@all")
    daemon = launch(
        upstream, redis_url=url(redis), loops=2,
        redis_settings={"username": "app", "password_file": str(file), "tls": {"ca": str(authority.file)}},
    )  # fmt: skip
    assert ask(daemon.port, "GET", PATH, key).status == 200
    redis("ACL", "SETUSER", "app", ">second")
    beside = file.with_suffix(".new")
    beside.write_text("second")
    beside.replace(file)
    until(lambda: daemon.times_said("notice the password of redis has changed") == 1, "the password being read")
    redis("ACL", "SETUSER", "app", "<first")
    redis("CLIENT", "KILL", "USER", "app")
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", PATH, key).status == 200


def test_a_new_authority(launch, upstream, redis, key, authority, folder):
    """The server is restarted with it, and the file changes under the daemon's feet."""
    file = folder / "trusted.crt"
    file.write_bytes(authority.file.read_bytes())
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(file)}}, loops=2)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    other = Authority(folder / "pki", "other")
    redis.kill()
    redis.arguments = [*redis.arguments[:4], *pair_arguments(other.issue("redis2", "localhost"), other)]
    redis.start()
    until(lambda: "isn't signed by redis.tls.ca" in daemon.said(), "the stranger being told")
    other.file.replace(file)
    daemon.wait_until_ready()
    assert daemon.times_said("notice certificates have changed: new connections go by them") == 1
    assert ask(daemon.port, "GET", PATH, key).status == 200


def test_open_connections_go_on_while_certificates_change(launch, upstream, redis, key, authority, folder):
    client = authority.issue("client")
    tls = {"ca": str(authority.file), **client.settings()}
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": tls}, loops=2)
    until(lambda: redis.clients() == 2, "a connection a loop, and none for the first beat")
    before = numbers(redis)
    # A pair of which one half is written, and then a file that is none: the last ones stay, and each is told once.
    other = authority.issue("other")
    client.certificate.write_bytes(other.certificate.read_bytes())
    mismatch = f'error="one that doesn\'t belong to {client.certificate}" file={client.key} setting=redis.tls'
    complaint = "warning certificates can't be read: the last ones stay in force "
    until(lambda: daemon.times_said(complaint + mismatch) == 1, f"the mismatch being told: {daemon.said()}")
    client.certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    cut = f'error="no certificate in PEM, or one that is cut off" file={client.certificate} setting=redis.tls'
    until(lambda: daemon.times_said(complaint + cut) == 1, f"the cut file being told: {daemon.said()}")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    client.key.write_bytes(other.key.read_bytes())
    client.certificate.write_bytes(other.certificate.read_bytes())
    until(lambda: daemon.times_said("notice certificates can be read again") == 1, "the end of it")
    until(lambda: daemon.times_said("notice certificates have changed") == 1, "the change")
    # A beat may have one of its own.
    assert before <= numbers(redis)
    # Only this one is taken now, and new connections show it.
    redis("CONFIG", "SET", "tls-auth-clients", "yes")
    redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    daemon.wait_until_ready()
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert "BEGIN" not in daemon.said()


def numbers(redis: RedisServer) -> set[bytes]:
    """Of the connections by TLS."""
    return set(re.findall(rb"id=(\d+) addr=127\.0\.0\.1", redis("CLIENT", "LIST")))


def test_a_hang_up_signal_reads_them_again(launch, upstream, redis, key, authority, folder):
    """What is wrong with them is said each time then."""
    file = folder / "trusted.crt"
    file.write_bytes(authority.file.read_bytes())
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(file)}})
    file.unlink()
    complaint = "certificates"
    until(lambda: f"warning {complaint} can't be read" in daemon.said(), "the missing file in the log")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.times_said(f"error {complaint} were not taken: the last ones stay in force") == 1, "the reading")
    assert ask(daemon.port, "GET", PATH, key).status == 200


@pytest.mark.parametrize("part, flaw", [
    ({"ca": "/nowhere/ca.crt"}, "redis.tls.ca: expected a file of certificates of authorities, got /nowhere/ca.crt: no such file"),
    ({"certificate": "/nowhere/a.crt", "key": "/nowhere/a.key"},
     "redis.tls.certificate: expected a file of a certificate, got /nowhere/a.crt: no such file"),
    ({"certificate": "/nowhere/a.crt"}, "redis.tls.certificate: expected redis.tls.key beside it, got no such key"),
    ({"key": "/nowhere/a.key"}, "redis.tls.key: expected redis.tls.certificate beside it, got no such key"),
])  # fmt: skip
def test_files_that_are_none(launch, upstream, redis, authority, part, flaw):
    tls = {"ca": str(authority.file), **part}
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": tls}, wait=False)
    assert daemon.wait() == 78
    assert flaw in daemon.said()
    done = control("org", "list", "--config", str(daemon.config))
    assert done.returncode == 65 and flaw in done.stderr


class Mute:
    """Accepts connections, and never says anything; or one thing, to what it hears first; or hangs up then."""

    def __init__(self, answer: bytes = b"", hangs_up: bool = False):
        self.answer, self.hangs_up = answer, hangs_up
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.accepted: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted.append(connection)
            if self.answer:
                connection.recv(1)
                connection.sendall(self.answer)
            if self.hangs_up:
                connection.recv(65536)
                connection.close()

    def close(self):
        self.listener.close()
        for connection in self.accepted:
            connection.close()


@pytest.fixture
def mute():
    servers = []

    def start(*arguments, **named) -> Mute:
        servers.append(Mute(*arguments, **named))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("budget", ["250ms"])
def test_who_never_answers_a_handshake(launch, upstream, key, authority, mute):
    """The breaker opens, and nobody waits."""
    server = mute()
    daemon = launch(
        upstream, redis_url=f"rediss://127.0.0.1:{server.port}/0", redis_settings={"tls": {"ca": str(authority.file)}},
        ready=False,
    )  # fmt: skip
    until(lambda: f'redis.error="not connected: {SILENT}"' in daemon.said(), f"the silence being told: {daemon.said()}")
    until(lambda: daemon.times_said("redis unavailable") == 1, "the breaker being open")
    answer = ask(daemon.port, "GET", PATH, key)
    assert answer.status == 503
    assert ask(daemon.admin, "GET", "/readyz").json()["reason"] == "unreachable"
    done = control("org", "list", "--config", str(daemon.config))
    assert done.returncode == 69
    assert f"Redis is not reachable at rediss://127.0.0.1:{server.port}/0 ({SILENT})" in done.stderr


def test_who_hangs_up_in_the_middle_of_a_handshake(launch, upstream, authority, mute):
    server = mute(hangs_up=True)
    daemon = launch(
        upstream, redis_url=f"rediss://127.0.0.1:{server.port}/0", redis_settings={"tls": {"ca": str(authority.file)}},
        ready=False,
    )  # fmt: skip
    words = r"(the server closed the connection|connection reset) during the TLS handshake"
    until(lambda: re.search(f'redis.error="not connected: {words}"', daemon.said()), "the end being told")
    done = control("org", "list", "--config", str(daemon.config))
    assert done.returncode == 69 and re.search(words, done.stderr), done.stderr


def test_a_server_without_tls(launch, upstream, authority, mute):
    server = mute(b"-ERR unknown command\r\n")
    daemon = launch(
        upstream, redis_url=f"rediss://127.0.0.1:{server.port}/0", redis_settings={"tls": {"ca": str(authority.file)}},
        ready=False,
    )  # fmt: skip
    is_told(daemon, "handshake", f"127.0.0.1:{server.port} doesn't speak TLS there: is it its tls-port?")


def test_a_port_of_redis_without_tls(launch, upstream, redis, authority):
    """It waits for the end of a line."""
    plain = free_port()
    redis("CONFIG", "SET", "port", str(plain))
    daemon = launch(
        upstream, redis_url=f"rediss://127.0.0.1:{plain}/0", redis_settings={"tls": {"ca": str(authority.file)}},
        ready=False,
    )  # fmt: skip
    until(lambda: SILENT in daemon.said() or "doesn't speak TLS there: is it its tls-port?" in daemon.said(), "the lack being told")


def test_from_redis_to_rediss(launch, upstream, redis, key, authority, folder):
    """A reload asks the new one first, and speaks by TLS from then on."""
    other = Authority(folder / "pki", "other")
    plain = free_port()
    redis("CONFIG", "SET", "port", str(plain))
    daemon = launch(upstream, redis_url=f"redis://127.0.0.1:{plain}/0")
    before = daemon.settings["redis"]
    daemon.settings["redis"] = {**before, "url": url(redis), "tls": {"ca": str(other.file)}}
    daemon.write()
    daemon.is_refused(url(redis))
    assert ask(daemon.port, "GET", PATH, key).status == 200
    daemon.reload(redis={**before, "url": url(redis), "tls": {"ca": str(authority.file)}})
    redis("CONFIG", "SET", "port", "0")
    assert ask(daemon.port, "GET", PATH, key).status == 200


@pytest.mark.parametrize("budget", ["250ms"])
def test_frozen_in_the_middle_of_a_handshake(launch, upstream, redis, key, authority):
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(authority.file)}})
    # With so short a budget a busy machine may be late.
    until(lambda: ask(daemon.port, "GET", PATH, key).status == 200, "an answer")
    redis.freeze()
    # The kernel takes connections for it, on which no handshake goes on.
    until(lambda: SILENT in daemon.said(), "a connection that gets no answer")
    assert ask(daemon.port, "GET", PATH, key).status == 503
    redis.thaw()
    daemon.wait_until_ready()
    until(lambda: ask(daemon.port, "GET", PATH, key).status == 200, "an answer again")


def test_killed_and_back(launch, upstream, redis, key, authority):
    """A server that dies says no farewell, which is a lost connection and no other trouble."""
    daemon = launch(upstream, redis_url=url(redis), redis_settings={"tls": {"ca": str(authority.file)}})
    for _ in range(3):
        assert ask(daemon.port, "GET", PATH, key).status == 200
        redis.kill()
        until(lambda: ask(daemon.admin, "GET", "/readyz").status == 503, "the loss being seen")
        redis.start()
        watch = Stopwatch()
        daemon.wait_until_ready()
        print(f"back after {watch.took():.2f} s")
    assert "TLS" not in daemon.said() and "uncleanShutdown" not in daemon.said()


class Relay:
    """Passes octets on, until it ends a connection in the middle of what the server says."""

    def __init__(self, target: int):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        #: How many octets of the next answers go on before their connection ends; None: all.
        self.cuts: int | None = None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                downstream, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.target))
            for source, sink, answers in ((downstream, upstream, False), (upstream, downstream, True)):
                threading.Thread(target=self.pump, args=(source, sink, answers), daemon=True).start()

    def pump(self, source: socket.socket, sink: socket.socket, answers: bool):
        try:
            while octets := source.recv(65536):
                if answers and self.cuts is not None:
                    sink.sendall(octets[: self.cuts])
                    break
                sink.sendall(octets)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


def test_cut_off_within_a_reply(launch, upstream, redis, key, authority):
    relay = Relay(port(redis))
    try:
        daemon = launch(
            upstream, redis_url=f"rediss://localhost:{relay.port}/0", loops=1,
            redis_settings={"tls": {"ca": str(authority.file)}},
        )  # fmt: skip
        assert ask(daemon.port, "GET", PATH, key).status == 200
        relay.cuts = 30
        answer = ask(daemon.port, "GET", PATH, key)
        assert answer.status == 503
        relay.cuts = None
        lost = 'redis.error="connection lost: the server closed the connection"'
        until(lambda: lost in daemon.said(), f"the loss being told: {daemon.said()}")
        daemon.wait_until_ready()
        assert ask(daemon.port, "GET", PATH, key).status == 200
    finally:
        relay.close()
