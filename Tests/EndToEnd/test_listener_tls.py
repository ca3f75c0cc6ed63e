# SPDX-License-Identifier: Apache-2.0
"""TLS where clients connect: what is spoken, whose certificates are shown and asked for, and what a connection is worth that
is cut, slow, or no TLS at all."""

import json
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from fixtures.authority import DAY, Authority
from fixtures.clients import python, run_client
from fixtures.departure import Laggard, reset, unsent
from fixtures.ports import free_port
from fixtures.programs import built
from fixtures.tunnel import head
from fixtures.upstream import reply
from fixtures.wire import PATIENCE, Closed, Connection, ask, request_bytes, until
from test_websocket import Handler
from websockets.sync.client import connect

NAME = "api.example.com"
PATH = "/open"
NOBODY_IS_TRUSTED = {"trusted_proxies": []}
#: Of memory, for one that reads slowly: what the kernel takes besides is not the process'.
MOST_GROWTH = 8 << 20
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def authority(folder) -> Authority:
    return Authority(folder / "pki")


@pytest.fixture
def pair(authority):
    return authority.issue("own", NAME)


@pytest.fixture
def secure(launch, upstream, pair):
    """A daemon whose one address speaks TLS, with more of `listen.tls` and other settings."""

    def start(tls: dict | None = None, handler: str | None = None, **settings):
        entry = {"address": "127.0.0.1:0", "tls": {**pair.settings(), **(tls or {})}}
        settings.setdefault("policies", [])
        return launch(handler or upstream, listen=entry, **settings)

    return start


def client(authority: Authority, pair=None, **options) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.file))
    for name, value in options.items():
        setattr(context, name, value)
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def secured(port: int, context: ssl.SSLContext, name: str | None = NAME, session=None, **options) -> Connection:
    """A connection that speaks HTTP within TLS."""
    connection = Connection(port, **options)
    try:
        connection.socket = context.wrap_socket(
            connection.socket, server_hostname=name, session=session, suppress_ragged_eofs=False
        )
    except BaseException:
        connection.close()
        raise
    return connection


def refused(port: int, context: ssl.SSLContext) -> str:
    """By the handshake, or by what ends the connection right after it: why."""
    with pytest.raises((ssl.SSLError, ConnectionError, Closed)) as error, secured(port, context) as connection:
        connection.send(request_bytes("GET", PATH))
        connection.response()
    return str(error.value)


def failures(daemon) -> dict[str, int]:
    """Handshakes that failed, by reason."""
    page = ask(daemon.admin, "GET", "/metrics", fields={"Host": "localhost"}).body.decode()
    found = re.findall(r'^tollgate_tls_handshake_failures_total\{reason="(\w+)"\} (\d+)$', page, re.MULTILINE)
    return {reason: int(count) for reason, count in found if count != "0"}


def openssl(port: int, *arguments: str, said: bytes = b"") -> subprocess.CompletedProcess:
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME, *arguments],
        input=said, capture_output=True, timeout=60,
    )  # fmt: skip


# What is spoken.


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_request_by_each_version(secure, upstream, authority, key, version):
    daemon = secure()
    context = client(authority)
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version.replace(".", "_"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with secured(daemon.port, context) as connection:
        assert connection.socket.version() == version
        # The one that is spoken here.
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            assert connection.request("GET", "/api/listings", {"X-API-Key": key}).status == 200
    assert [upstream.requests[0].get(name) for name in ("X-Forwarded-Proto", "X-Forwarded-For")] == ["https", "127.0.0.1"]
    assert failures(daemon) == {}


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_each_class_of_ciphers(launch, upstream, authority, kind):
    pair = authority.issue("own", NAME, key=rsa.generate_private_key(65537, 2048) if kind == "rsa" else None)
    daemon = launch(upstream, listen={"address": "127.0.0.1:0", "tls": pair.settings()}, policies=[])
    classes = ["ECDHE+AESGCM", "ECDHE+CHACHA20", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
    for ciphers in [*classes, "TLS_CHACHA20_POLY1305_SHA256"]:
        flag = ["-ciphersuites", ciphers] if ciphers.startswith("TLS_") else ["-tls1_2", "-cipher", ciphers]
        done = openssl(daemon.port, *flag, "-CAfile", str(authority.file), "-verify_return_error", "-quiet", "-ign_eof",
                       said=request_bytes("GET", PATH, {"Connection": "close"}))  # fmt: skip
        assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n"), (ciphers, done.stderr)


def test_what_is_not_spoken_any_more(secure):
    daemon = secure()
    for flags in [
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        # Without forward secrecy, or without authentication of what is sent.
        ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
        ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"],
    ]:
        done = openssl(daemon.port, *flags)
        assert done.returncode != 0 and b"alert" in done.stderr, done.stderr
    counted = {"version": 1, "nothing_in_common": 2}
    until(lambda: failures(daemon) == counted, f"all being counted: {failures(daemon)}")


def test_the_oldest_version_may_be_set(secure, authority):
    daemon = secure({"min_version": "1.3"})
    old = client(authority, maximum_version=ssl.TLSVersion.TLSv1_2)
    assert "alert" in refused(daemon.port, old).lower()
    with secured(daemon.port, client(authority)) as connection:
        assert connection.request("GET", PATH).status == 200
    until(lambda: failures(daemon) == {"version": 1}, "it being counted")


def test_nobody_negotiates_again(secure, authority):
    """Which only TLS 1.2 knows, and BoringSSL as a server doesn't."""
    daemon = secure()
    done = openssl(daemon.port, "-tls1_2", "-legacy_renegotiation", "-CAfile", str(authority.file), said=b"R\n")
    assert done.returncode != 0 and b"RENEGOTIATING" in done.stdout + done.stderr
    with secured(daemon.port, client(authority)) as connection:
        assert connection.request("GET", PATH).status == 200


def test_who_speaks_no_tls_is_closed(secure):
    daemon = secure()
    for said in [b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n", b"\x00" * 64, b"SSH-2.0-OpenSSH_9.2\r\n"]:
        with Connection(daemon.port) as connection:
            connection.send(said)
            answer = b""
            while octets := connection.more():
                answer += octets
        # An alert at most: what would be HTTP is nothing that was asked for by TLS.
        assert len(answer) <= 7 and not answer.startswith(b"HTTP")
    until(lambda: failures(daemon) == {"not_tls": 3}, f"all being counted: {failures(daemon)}")
    # Anybody can fill a log otherwise.
    assert daemon.times_said("a TLS handshake of a client failed") == 1
    assert "reason=not_tls" in daemon.said()


def test_plain_and_secure_side_by_side(launch, upstream, authority, pair):
    daemon = launch(upstream, listen=["127.0.0.1:0", {"address": f"127.0.0.1:{free_port()}", "tls": pair.settings()}])
    plain, by_tls = [int(address.rpartition(":")[2]) for address in daemon.listening()]
    assert ask(plain, "GET", PATH).status == 200
    with secured(by_tls, client(authority)) as connection:
        assert connection.request("GET", PATH).status == 200
    assert [request.get("X-Forwarded-Proto") for request in upstream.requests] == ["http", "https"]


def test_on_a_unix_socket(launch, upstream, folder, authority, pair):
    path = str(folder / "socket")
    launch(upstream, listen={"address": f"unix:{path}", "tls": pair.settings()})
    with secured(path, client(authority)) as connection:
        assert connection.request("GET", PATH).status == 200


def test_an_inherited_socket_takes_the_options_of_its_entry(launch, upstream, authority, pair):
    with socket.create_server(("127.0.0.1", 0)) as plain, socket.create_server(("127.0.0.1", 0)) as by_tls:
        ports = [one.getsockname()[1] for one in (plain, by_tls)]
        entries = [f"127.0.0.1:{ports[0]}", {"address": f"127.0.0.1:{ports[1]}", "tls": pair.settings()}]
        launch(upstream, listen=entries, inherit=[by_tls, plain])
        assert ask(ports[0], "GET", PATH).status == 200
        with secured(ports[1], client(authority)) as connection:
            assert connection.request("GET", PATH).status == 200


# What is said of it.


@pytest.mark.parametrize(("trusted", "scheme"), [(True, "http"), (False, "https")])
def test_a_trusted_proxy_says_what_its_client_speaks(secure, upstream, authority, trusted, scheme):
    daemon = secure(**({} if trusted else NOBODY_IS_TRUSTED))
    upstream.behaviour = lambda request, _: reply(
        b"", "302 Found", {"Location": f"http://{request.get('Host')}/elsewhere"}
    )
    with secured(daemon.port, client(authority)) as connection:
        answer = connection.request("GET", PATH, {"Host": NAME, "X-Forwarded-Proto": "http"})
    assert upstream.requests[0].get("X-Forwarded-Proto") == scheme
    assert answer["Location"] == f"{scheme}://{NAME}/elsewhere"


def test_strict_transport_security_is_said_by_tls_alone(launch, upstream, authority, pair):
    by_tls = {"address": f"127.0.0.1:{free_port()}", "tls": {**pair.settings(), "hsts": "365d"}}
    daemon = launch(
        upstream, listen=["127.0.0.1:0", by_tls], cors={"allow_origins": ["https://app.example.com"]}, **NOBODY_IS_TRUSTED
    )
    plain, port = [int(address.rpartition(":")[2]) for address in daemon.listening()]
    upstream.behaviour = lambda *_: reply(fields={"Strict-Transport-Security": "max-age=1"})
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    with secured(port, client(authority)) as connection, Connection(plain) as other:
        for method, target, fields, status in [
            ("GET", PATH, {}, 200),
            ("HEAD", PATH, {}, 200),
            ("GET", "/nowhere", {}, 404),
            ("GET", "/api/listings", {}, 401),
            ("OPTIONS", PATH, asked, 204),
        ]:
            connection.send(request_bytes(method, target, fields))
            answer = connection.response(method)
            assert (answer.status, answer.all("Strict-Transport-Security")) == (status, ["max-age=31536000"])
            other.send(request_bytes(method, target, fields))
            answer = other.response(method)
            # What the handler says of itself is its own.
            said = ["max-age=1"] if status == 200 else []
            assert (answer.status, answer.all("Strict-Transport-Security")) == (status, said)
        connection.send(b"nonsense\r\n\r\n")
        answer = connection.response()
        assert (answer.status, answer["Strict-Transport-Security"]) == (400, "max-age=31536000")


# Certificates.


def shown(port: int, authority: Authority, name: str | None) -> str:
    """The common name of the certificate that a client is shown who asks for that host."""
    context = client(authority, check_hostname=False)
    with secured(port, context, name) as connection:
        certificate = x509.load_der_x509_certificate(connection.socket.getpeercert(binary_form=True))
        assert connection.request("GET", PATH).status == 200
    return certificate.subject.rfc4514_string().removeprefix("CN=")


def test_the_name_that_is_asked_for_chooses_the_certificate(secure, authority):
    others = [authority.issue("shop", "shop.example.org"), authority.issue("all", "*.example.org")]
    daemon = secure({"certificates": [other.settings() for other in others]})
    asked = [NAME, "shop.example.org", "SHOP.example.org", "blog.example.org", "a.blog.example.org", "example.org", None]
    found = [shown(daemon.port, authority, name) for name in asked]
    assert found == ["own", "shop", "shop", "all", "own", "own", "own"]


def test_the_first_of_a_list_alone_is_for_all_others(launch, upstream, authority):
    pairs = [authority.issue("one", "one.example"), authority.issue("two", "two.example")]
    tls = {"certificates": [pair.settings() for pair in pairs]}
    daemon = launch(upstream, listen={"address": "127.0.0.1:0", "tls": tls})
    assert [shown(daemon.port, authority, name) for name in ("two.example", "other.example", None)] == ["two", "one", "one"]


def test_a_session_is_resumed_on_every_loop(secure, authority):
    daemon = secure(loops=4)
    context = client(authority)
    with secured(daemon.port, context) as first:
        assert first.request("GET", PATH).status == 200
        session = first.socket.session
    for _ in range(8):
        with secured(daemon.port, context, session=session) as connection:
            assert connection.request("GET", PATH).status == 200
            assert connection.socket.session_reused


def test_other_certificates_under_way_drop_nobody(secure, authority, pair):
    """Callers without a pause, on connections of their own and on kept ones, while the files change again and again."""
    daemon = secure()
    context = client(authority)
    over, served, lost = threading.Event(), [0, 0], []

    def call(keeps: bool):
        with suppress(StopIteration):
            while not over.is_set():
                try:
                    with secured(daemon.port, context) as connection:
                        while not over.is_set():
                            assert connection.request("GET", PATH).status == 200
                            served[keeps] += 1
                            if not keeps:
                                break
                except Exception as error:
                    lost.append(repr(error))
                    return

    callers = [threading.Thread(target=call, args=[keeps]) for keeps in (True, True, False, False)]
    for caller in callers:
        caller.start()
    try:
        for number in range(3):
            other = authority.issue(f"new{number}", NAME)
            for new, old in ((other.key, pair.key), (other.certificate, pair.certificate)):
                new.replace(old)
            until(lambda: daemon.times_said("certificates have changed") == number + 1, f"change {number}: {daemon.said()}")
            assert shown(daemon.port, authority, NAME) == f"new{number}"
    finally:
        over.set()
        for caller in callers:
            caller.join()
    assert not lost and min(served) > 0, (lost, served)
    assert 'setting="listen.tls"' in daemon.said() or "setting=listen.tls" in daemon.said()


def test_a_secret_of_kubernetes_is_swapped_by_a_link(launch, upstream, folder, authority):
    secret = folder / "secret"
    secret.mkdir()

    def mount(version: str, file: str):
        """As the kubelet does: a folder beside, a link to it that is replaced, and links through that."""
        pair = authority.issue(file, NAME)
        (secret / version).mkdir()
        pair.certificate.rename(secret / version / "tls.crt")
        pair.key.rename(secret / version / "tls.key")
        (secret / "..new").symlink_to(version)
        (secret / "..new").rename(secret / "..data")

    mount("..1", "one")
    for name in ("tls.crt", "tls.key"):
        (secret / name).symlink_to(f"..data/{name}")
    tls = {"certificate": str(secret / "tls.crt"), "key": str(secret / "tls.key")}
    daemon = launch(upstream, listen={"address": "127.0.0.1:0", "tls": tls})
    with secured(daemon.port, client(authority)) as kept:
        assert kept.request("GET", PATH).status == 200
        mount("..2", "two")
        until(lambda: daemon.times_said("certificates have changed") == 1, "the change")
        assert shown(daemon.port, authority, NAME) == "two"
        assert kept.request("GET", PATH).status == 200


def test_a_pair_that_is_none_keeps_the_last_one_and_is_told_once(secure, authority, pair):
    daemon = secure()
    other = authority.issue("other", NAME)
    certificate = pair.certificate.read_bytes()
    pair.certificate.write_bytes(other.certificate.read_bytes())
    until(lambda: daemon.times_said("certificates can't be read: the last ones stay in force") == 1, "the flaw being told")
    assert f"one that doesn't belong to {pair.certificate}" in daemon.said()
    assert shown(daemon.port, authority, NAME) == "own"
    pair.certificate.write_bytes(certificate)
    until(lambda: daemon.times_said("certificates can be read again") == 1, "its end being told")
    assert daemon.times_said("certificates can't be read") == 1
    # SIGHUP says it too, and keeps them.
    pair.key.write_bytes(b"")
    until(lambda: daemon.times_said("certificates can't be read") == 2, "the next flaw being told")
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.times_said("certificates were not taken: the last ones stay in force") == 1, "the refusal")
    assert shown(daemon.port, authority, NAME) == "own"


def test_files_of_no_use_are_told_at_the_start_and_by_config_check(secure, folder, authority, pair):
    other = authority.issue("other", NAME)
    entry = {"address": "127.0.0.1:0", "tls": {"certificate": str(pair.certificate), "key": str(other.key)}}
    file = folder / "t.json"
    file.write_text(json.dumps({"listen": entry}))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    for arguments in (["config", "check", str(file)], ["--config", str(file)]):
        done = subprocess.run(
            [built("tollgate"), *arguments], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 78, done
        told = f"listen.tls.key: expected a file of the certificate's private key, got {other.key}: one that doesn't belong to"
        assert told in done.stderr + done.stdout


def test_when_they_end_is_measured(secure, authority, pair):
    other = authority.issue("other", "other.example", life=(-DAY, 2 * DAY))
    # Of an authority in between, say, without which the other is worth nothing to most.
    sooner = authority.issue("sooner", "authority.example", life=(-DAY, DAY / 2))
    other.certificate.write_bytes(other.certificate.read_bytes() + sooner.certificate.read_bytes())
    daemon = secure({"certificates": [other.settings()]})
    page = ask(daemon.admin, "GET", "/metrics", fields={"Host": "localhost"}).body.decode()
    found = dict(re.findall(r'^tollgate_tls_certificate_not_after_seconds\{file="(\S+)"\} (\d+)$', page, re.MULTILINE))

    def end(file: Path) -> str:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        return str(int(certificate.not_valid_after_utc.timestamp()))

    assert found == {str(pair.certificate): end(pair.certificate), str(other.certificate): end(sooner.certificate)}


@pytest.mark.parametrize(("version", "words"), [("TLSv1_2", "unknown ca"), ("TLSv1_3", "an alert that is not encrypted")])
def test_a_client_that_takes_it_for_no_good_is_counted(secure, folder, version, words):
    daemon = secure()
    stranger = Authority(folder / "other", "stranger")
    context = client(stranger, maximum_version=getattr(ssl.TLSVersion, version))
    assert "certificate verify failed" in refused(daemon.port, context)
    until(lambda: failures(daemon) == {"refused_by_client": 1}, f"it being counted: {failures(daemon)}")
    assert f'error="{words}" reason=refused_by_client' in daemon.said()


# Certificates of clients.


@pytest.fixture
def mutual(secure, authority):
    return lambda **tls: secure({"client_ca": str(authority.file), **tls})


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_client_has_to_show_a_certificate(mutual, upstream, folder, authority, version):
    daemon = mutual()
    versions = {"maximum_version": getattr(ssl.TLSVersion, version)}
    good = authority.issue("billing", "billing.internal")
    with secured(daemon.port, client(authority, good, **versions)) as connection:
        assert connection.request("GET", PATH, {"X-Tollgate-Client-Name": "root"}).status == 200
    assert upstream.requests[0].all("X-Tollgate-Client-Name") == ["billing.internal"]
    assert refused(daemon.port, client(authority, **versions))
    until(lambda: failures(daemon) == {"certificate_missing": 1}, f"it being counted: {failures(daemon)}")
    # Of nobody that is trusted, and of one who is, but not now.
    stranger = Authority(folder / "other", "stranger").issue("billing", "billing.internal")
    late = authority.issue("late", "billing.internal", life=(-2 * DAY, -DAY))
    for pair in (stranger, late):
        assert refused(daemon.port, client(authority, pair, **versions))
    until(
        lambda: failures(daemon) == {"certificate_missing": 1, "certificate_refused": 2},
        f"both being counted: {failures(daemon)}",
    )
    assert len(upstream.requests) == 1


def test_its_name_is_told_to_the_handler(mutual, upstream, authority):
    daemon = mutual()
    told = []
    for names, name in [
        (["a.example", "spiffe://example.org/a", "spiffe://example.org/b", "a@example.org"], "spiffe://example.org/a"),
        (["a@example.org", "b.example", "a.example"], "b.example"),
        (["a@example.org"], "a@example.org"),
        ([], "Billing"),
        (["192.0.2.1"], "Billing"),
    ]:
        with secured(daemon.port, client(authority, authority.issue("Billing", *names))) as connection:
            for _ in range(2):
                assert connection.request("GET", PATH).status == 200
                told.append([name])
    assert [request.all("X-Tollgate-Client-Name") for request in upstream.requests] == told


def test_a_name_that_no_field_can_have_is_left_out(mutual, upstream, authority):
    daemon = mutual()
    for name in ["Zoë", "two words", "line\nX-Tollgate-Org: acme"]:
        with secured(daemon.port, client(authority, authority.issue("odd", common=name))) as connection:
            assert connection.request("GET", PATH).status == 200
        assert not [one for one in upstream.requests[-1].names() if one.startswith("x-tollgate")]


SPELLINGS = ["X-Tollgate-Client-Name", "x-tollgate-client-name", "X_Tollgate_Client_Name", "X-Tollgate_Client-Name",
             "X.Tollgate.Client.Name"]  # fmt: skip


@pytest.mark.parametrize("listener", ["plain", "tls", "mutual"])
def test_nobody_gives_himself_a_name(launch, upstream, authority, pair, listener):
    """Not even through a proxy that is trusted: loopback is one here."""
    tls = {"plain": None, "tls": pair.settings(), "mutual": {**pair.settings(), "client_ca": str(authority.file)}}[listener]
    daemon = launch(upstream, listen={"address": "127.0.0.1:0", "tls": tls} if tls else "127.0.0.1:0")
    own = authority.issue("billing", "billing.internal")
    with ExitStack() as stack:
        connection = stack.enter_context(
            secured(daemon.port, client(authority, own)) if tls else Connection(daemon.port)
        )
        for spelling in SPELLINGS:
            assert connection.request("GET", PATH, {spelling: "root"}).status == 200
    for request in upstream.requests:
        found = [(name, value) for name, value in request.fields if re.sub("[^a-z]", "", name.lower()) == "xtollgateclientname"]
        assert found == ([("X-Tollgate-Client-Name", "billing.internal")] if listener == "mutual" else [])


def test_only_some_names_are_let_in(mutual, upstream, authority):
    daemon = mutual(allow_subjects=["billing.internal"])
    with secured(daemon.port, client(authority, authority.issue("good", "billing.internal"))) as connection:
        assert connection.request("GET", PATH).status == 200
    for name in ("BILLING.internal", "billing.internal.example", "other.internal"):
        pair = authority.issue("bad", name)
        with secured(daemon.port, client(authority, pair)) as connection:
            connection.send(request_bytes("GET", PATH))
            answer = connection.response()
            assert (answer.status, answer.json()["detail"]) == (403, "Client certificate is not allowed")
            assert connection.at_end()
    assert len(upstream.requests) == 1
    until(lambda: failures(daemon) == {"name_refused": 3}, "all being counted")
    lines = [line for line in daemon.lines(4) if line["status"] == 403]
    assert [line["reason"] for line in lines] == ["certificate_not_allowed"] * 3


def test_a_resumed_session_has_the_same_name(mutual, upstream, authority):
    daemon = mutual()
    context = client(authority, authority.issue("billing", "billing.internal"))
    session = None
    for number in range(3):
        with secured(daemon.port, context, session=session) as connection:
            assert connection.request("GET", PATH).status == 200
            assert connection.socket.session_reused == (number > 0)
            session = connection.socket.session
    assert [request.get("X-Tollgate-Client-Name") for request in upstream.requests] == ["billing.internal"] * 3


class Unsent:
    """TLS apart from the socket, so that a test says what goes in one packet."""

    def __init__(self, port: int, context: ssl.SSLContext, session=None):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=NAME, session=session)
        self.connection = Connection(port)

    def begin(self):
        """All of the handshake but what the client sends last."""
        while True:
            try:
                return self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.connection.send(self.outgoing.read())
                self.incoming.write(self.connection.socket.recv(65536))

    def rest(self) -> bytes:
        """Sends what is there, and reads to the end of the connection."""
        self.connection.send(self.outgoing.read())
        answer = b""
        with self.connection, suppress(ConnectionError, ssl.SSLZeroReturnError):
            while octets := self.connection.socket.recv(65536):
                self.incoming.write(octets)
                with suppress(ssl.SSLWantReadError):
                    while part := self.tls.read(65536):
                        answer += part
        return answer


@pytest.mark.parametrize("allowed", [None, ["billing.internal"]])
def test_a_certificate_that_has_ended_is_worth_nothing_in_a_resumed_session(secure, upstream, authority, allowed):
    """Not even for a request that comes in one packet with the end of the handshake, and could be sent on at once."""
    daemon = secure({"client_ca": str(authority.file), **({"allow_subjects": allowed} if allowed else {})}, loops=1)
    life = timedelta(seconds=10)
    end = datetime.now(timezone.utc) + life
    context = client(authority, authority.issue("billing", "billing.internal", life=(-DAY, life)))
    with secured(daemon.port, context) as connection:
        assert connection.request("GET", PATH).status == 200
        session = connection.socket.session
        until(lambda: datetime.now(timezone.utc) > end + timedelta(seconds=1), "the certificate's end")
        # Who is connected is answered, and has to show another one then.
        answer = connection.request("GET", PATH)
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert connection.at_end()
    late = Unsent(daemon.port, context, session)
    late.begin()
    assert late.tls.session_reused
    late.tls.write(request_bytes("GET", PATH))
    assert late.rest() == b""
    until(lambda: failures(daemon) == {"certificate_refused": 1}, f"it being counted: {failures(daemon)}")
    assert len(upstream.requests) == 2


def test_who_is_let_in_no_more_has_no_connection_any_more(mutual, upstream, authority, pair):
    daemon = mutual(allow_subjects=["one.internal", "two.internal"])
    entry = daemon.settings["listen"]
    over = threading.Event()
    one, two = [client(authority, authority.issue(name, f"{name}.internal")) for name in ("one", "two")]
    with ExitStack() as stack:
        idle, busy = [stack.enter_context(secured(daemon.port, one)) for _ in range(2)]
        assert idle.request("GET", PATH).status == 200
        session = idle.socket.session
        # What else there is to be listened on, and another certificate of its own, change nothing for clients.
        daemon.reload(listen=[entry, f"127.0.0.1:{free_port()}"])
        other = authority.issue("other", NAME)
        other.key.replace(pair.key), other.certificate.replace(pair.certificate)
        until(lambda: daemon.times_said("certificates have changed") == 1, "the change")
        assert idle.request("GET", PATH).status == 200
        upstream.behaviour = lambda *_: over.wait(PATIENCE) and reply(b"late")
        # Two that are sent at once: the second hasn't begun.
        busy.send(request_bytes("GET", PATH) * 2)
        upstream.wait_for(3)
        tls = {**entry["tls"], "allow_subjects": ["two.internal"]}
        daemon.reload(listen=[{**entry, "tls": tls}, daemon.settings["listen"][1]])
        # With a close_notify, or this would be an error.
        assert idle.at_end()
        over.set()
        answer = busy.response()
        assert (answer.status, answer["Connection"], answer.body) == (200, "close", b"late")
        assert busy.at_end()
        for context, past, status in [(one, session, 403), (one, None, 403), (two, None, 200)]:
            with secured(daemon.port, context, session=past) as connection:
                connection.send(request_bytes("GET", PATH))
                assert connection.response().status == status
                assert not connection.socket.session_reused
    assert len(upstream.requests) == 4


def test_an_authority_that_is_trusted_no_more_ends_its_clients(mutual, authority, folder):
    daemon = mutual()
    with secured(daemon.port, client(authority, authority.issue("one", "one.internal"))) as connection:
        assert connection.request("GET", PATH).status == 200
        authority.file.write_bytes(Authority(folder / "next", "next").file.read_bytes())
        assert connection.at_end()


# Ends.


def test_a_body_that_is_cut_is_no_whole_one(secure, upstream, authority):
    """FIN without a close_notify: anybody on the way can send one."""
    daemon = secure()
    for beginning in (b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", b"GET /open HTTP/1.1\r\nHos"):
        connection = secured(daemon.port, client(authority))
        connection.send(beginning)
        raw = socket.socket(fileno=connection.socket.detach())
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(PATIENCE)
        with suppress(ConnectionError):
            while raw.recv(4096):
                pass
        raw.close()
    assert upstream.requests == []


def test_an_answer_that_is_cut_is_no_whole_one(secure, upstream, authority):
    """Of no length that is told: only the end of TLS says that all was sent."""
    daemon = secure()

    def cut(_, client):
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def whole(_, client):
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\nwhole")

    for behaviour, is_whole in [(cut, False), (whole, True)]:
        upstream.behaviour = behaviour
        with secured(daemon.port, client(authority)) as connection:
            # Who speaks HTTP/1.0 knows no chunks.
            connection.send(b"GET /open HTTP/1.0\r\nHost: a\r\n\r\n")
            connection.head()
            ends = []
            with suppress(ssl.SSLEOFError, ConnectionError):
                while connection.socket.recv(65536):
                    pass
                ends.append("close_notify")
            assert ends == (["close_notify"] if is_whole else [])


def test_the_end_of_a_drain_is_no_end_of_an_answer(secure, upstream, authority):
    daemon = secure(drain={"timeout": "1s"})
    over = threading.Event()
    upstream.behaviour = lambda _, client: client.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf") or over.wait(60) and None
    with secured(daemon.port, client(authority)) as connection:
        connection.send(b"GET /open HTTP/1.0\r\nHost: a\r\n\r\n")
        connection.head()
        connection.need(4)
        daemon.terminate()
        with pytest.raises((ssl.SSLEOFError, ConnectionError)):
            connection.socket.recv(65536)
    assert daemon.wait() == 0
    over.set()


def test_who_has_closed_his_side_is_answered(secure, upstream, authority):
    """By a close_notify behind the request; the other direction goes on (RFC 8446 §6.1)."""
    daemon = secure()
    over = threading.Event()
    upstream.behaviour = lambda *_: over.wait(PATIENCE) and reply(b"late")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client(authority).wrap_bio(incoming, outgoing, server_hostname=NAME)
    with Connection(daemon.port) as connection:

        def exchange(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    if sent := outgoing.read():
                        connection.send(sent)
                    octets = connection.socket.recv(65536)
                    incoming.write(octets) if octets else incoming.write_eof()

        exchange(tls.do_handshake)
        tls.write(request_bytes("GET", PATH))
        with suppress(ssl.SSLWantReadError):
            tls.unwrap()
        connection.send(outgoing.read())
        connection.socket.shutdown(socket.SHUT_WR)
        upstream.wait_for(1)
        over.set()
        answer = b""
        while octets := connection.socket.recv(65536):
            incoming.write(octets)
            with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                while part := tls.read(65536):
                    answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"late")


def test_a_drain_ends_what_is_under_way_and_closes_what_is_idle(secure, upstream, authority):
    daemon = secure(drain={"timeout": "20s"})
    over = threading.Event()
    upstream.behaviour = lambda *_: over.wait(PATIENCE) and reply(b"ok")
    context = client(authority)
    idle, busy = secured(daemon.port, context), secured(daemon.port, context)
    with idle, busy:
        busy.send(request_bytes("GET", PATH))
        upstream.wait_for(1)
        daemon.terminate()
        # With a close_notify, or this would be an error.
        assert idle.at_end()
        over.set()
        answer = busy.response()
        assert (answer.status, answer["Connection"]) == (200, "close")
        assert busy.at_end()
    assert daemon.wait() == 0


def test_records_that_are_cut_and_slow_are_read(secure, upstream, authority):
    """Each octet of handshake and request by itself."""
    daemon = secure()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client(authority).wrap_bio(incoming, outgoing, server_hostname=NAME)
    with Connection(daemon.port) as connection:

        def send():
            for octet in outgoing.read():
                connection.send(bytes([octet]))

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                send()
                incoming.write(connection.socket.recv(1))
        tls.write(request_bytes("POST", "/files/a", body=b"x" * 100))
        send()
        answer = b""
        while b"\r\n\r\n" not in answer:
            try:
                answer += tls.read(1)
            except ssl.SSLWantReadError:
                incoming.write(connection.socket.recv(1))
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_a_record_that_was_changed_ends_the_connection(secure, upstream, authority):
    daemon = secure()
    connection = secured(daemon.port, client(authority))
    assert connection.request("GET", PATH).status == 200
    raw = socket.socket(fileno=connection.socket.detach())
    raw.settimeout(PATIENCE)
    raw.sendall(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
    with suppress(ConnectionError):
        while raw.recv(4096):
            pass
    raw.close()
    assert ask(daemon.admin, "GET", "/readyz").status == 200
    assert len(upstream.requests) == 1


# Time and room.


def test_a_handshake_has_the_time_of_a_head(secure):
    daemon = secure(limits={"header_timeout": "2s"})
    with Connection(daemon.port) as silent, Connection(daemon.port) as slow:
        slow.send(b"\x16\x03\x01")
        assert silent.at_end() and slow.at_end()
    until(lambda: failures(daemon) == {"timeout": 2}, f"both being counted: {failures(daemon)}")


def test_half_open_handshakes_leave_others_served(secure, authority, folder):
    """From every address there is: a share of each is no bound."""
    daemon = secure(
        loops=1, limits={"connections": 64, "connections_per_address": 64, "header_timeout": "60s"}, **NOBODY_IS_TRUSTED
    )
    context = client(authority)
    with secured(daemon.port, context) as kept, ExitStack() as stack:
        assert kept.request("GET", PATH).status == 200
        for number in range(200):
            half = stack.enter_context(Connection(daemon.port, source=f"127.0.1.{number + 1}"))
            half.send(b"\x16\x03\x01\x02\x00\x01")
            if number % 20 == 0:
                with secured(daemon.port, context, source="127.0.0.9") as other:
                    assert other.request("GET", PATH).status == 200
        with secured(daemon.port, context, source="127.0.0.9") as other:
            assert other.request("GET", PATH).status == 200
        assert kept.request("GET", PATH).status == 200
        # Half of all connections may be in a handshake.
        found = failures(daemon)
        assert set(found) == {"crowded_out"} and found["crowded_out"] >= 200 - 32, found


def test_half_open_ones_behind_a_proxy_are_counted_too(launch, upstream, pair, authority):
    """Whose header hasn't come. And who waits for his is not the one who makes room for himself."""
    entry = {"address": "127.0.0.1:0", "tls": pair.settings(), "proxy_protocol": True}
    daemon = launch(upstream, listen=entry, loops=1, limits={"connections": 24, "header_timeout": "60s"})
    context = client(authority)

    def introduced(connection: Connection, address: str = "127.0.0.7") -> Connection:
        connection.send(f"PROXY TCP4 {address} 127.0.0.1 1 2\r\n".encode())
        connection.socket = context.wrap_socket(connection.socket, server_hostname=NAME)
        return connection

    with ExitStack() as stack:
        kept = [introduced(stack.enter_context(Connection(daemon.port))) for _ in range(6)]
        for connection in kept:
            assert connection.request("GET", PATH).status == 200
        # 16 may be in a handshake.
        silent = [stack.enter_context(Connection(daemon.port)) for _ in range(16 + 3)]
        until(lambda: failures(daemon) == {"crowded_out": 3}, f"three being pushed out: {failures(daemon)}")
        assert all(one.at_end() for one in silent[:3])
        # Longer than a handshake takes. It is the oldest of them, and there is no room.
        daemon.reload(limits={"connections": 6, "header_timeout": "60s"})
        time.sleep(1.2)
        assert introduced(silent[3], "127.0.0.8").request("GET", PATH).status == 200


def test_who_connects_and_leaves_is_counted_and_not_told(secure):
    """Balancers look like that whether somebody listens."""
    daemon = secure()
    for _ in range(3):
        Connection(daemon.port).close()
    until(lambda: failures(daemon) == {"closed": 3}, f"all being counted: {failures(daemon)}")
    assert daemon.times_said("a TLS handshake of a client failed") == 0


def test_one_address_has_its_share_of_handshakes(secure, authority):
    daemon = secure(
        loops=1, limits={"connections": 64, "connections_per_address": 16, "header_timeout": "60s"}, **NOBODY_IS_TRUSTED
    )
    with ExitStack() as stack:
        for _ in range(60):
            half = stack.enter_context(Connection(daemon.port, source="127.0.1.1"))
            with suppress(ConnectionError):
                half.send(b"\x16\x03\x01\x02\x00\x01")
        with secured(daemon.port, client(authority), source="127.0.0.9") as other:
            assert other.request("GET", PATH).status == 200
        # Who has no room is closed without a word, which would take a handshake.
        assert failures(daemon).get("crowded_out", 0) == 0
    assert daemon.times_said("more connections of one address than limits.connections_per_address") == 1


# What passes.


def test_events_pass_as_they_come(secure, upstream, authority):
    daemon = secure()
    gates = [threading.Event() for _ in range(3)]

    def stream(_, client):
        client.sendall(EVENTS)
        for number, gate in enumerate(gates):
            assert gate.wait(PATIENCE)
            client.sendall(b"8\r\ndata: %d\n\r\n" % number)
        return b"0\r\n\r\n"

    upstream.behaviour = stream
    with secured(daemon.port, client(authority)) as connection:
        connection.send(request_bytes("GET", PATH))
        assert connection.head()["Content-Type"] == "text/event-stream"
        for number, gate in enumerate(gates):
            gate.set()
            assert connection.chunk() == b"data: %d\n" % number
        assert connection.chunk() == b""


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_much_passes_both_ways(secure, upstream, authority, key, version):
    daemon = secure()
    body = os.urandom(8 << 20)
    upstream.behaviour = lambda request, _: reply(request.body)
    with secured(daemon.port, client(authority, maximum_version=getattr(ssl.TLSVersion, version))) as connection:
        connection.send_and_read(request_bytes("POST", "/files/a", {"X-API-Key": key}, body))
        answer = connection.response()
    assert answer.status == 200 and answer.body == body


def test_who_reads_slowly_holds_no_memory(secure, upstream, authority):
    daemon = secure(loops=1)
    size = 64 << 20
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    with secured(daemon.port, client(authority), receive_buffer=4096) as connection:
        before = daemon.resident()
        connection.send(request_bytes("GET", PATH))
        connection.head()
        # While it takes nothing, what is full on the way stays so.
        for _ in range(10):
            time.sleep(0.1)
            assert daemon.resident() - before < MOST_GROWTH


def test_a_websocket_passes(secure, authority):
    handler = Handler()
    daemon = secure(handler=handler.url)
    by = socket.create_connection(("127.0.0.1", daemon.port))
    with connect(f"wss://{NAME}/open", sock=by, ssl=client(authority), server_hostname=NAME) as tunnel:
        for message in ("one", "x" * (1 << 20)):
            tunnel.send(message)
            assert tunnel.recv() == message
    handler.close()


def test_a_tunnel_that_is_cut_is_not_closed_cleanly(secure, authority):
    handler = Handler()
    daemon = secure(handler=handler.url)
    by = socket.create_connection(("127.0.0.1", daemon.port))
    with connect(f"wss://{NAME}/open", sock=by, ssl=client(authority), server_hostname=NAME) as tunnel:
        tunnel.send("one")
        assert tunnel.recv() == "one"
        # By its descriptor, past TLS.
        with socket.socket(fileno=os.dup(tunnel.socket.fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)
            until(lambda: handler.closed, "the handler's end")
    assert handler.closed == [(1006, "")]
    handler.close()


RECORD = b"x" * 16384


def pour(tls: ssl.SSLSocket) -> int:
    """As many records as are taken, of the last perhaps a part."""
    tls.setblocking(False)
    sent = 0
    while select.select([], [tls], [], 0.5)[1]:
        with suppress(ssl.SSLWantWriteError):
            sent += tls.send(RECORD)
    tls.settimeout(60)
    return sent


@pytest.mark.parametrize("way", ["says an end", "is cut", "is reset"])
def test_a_slow_handler_gets_what_came_from_a_client_that_left(secure, upstream, authority, key, way):
    """What could be decrypted is the client's beyond doubt; a message that breaks off is seen by its length."""
    daemon = secure(limits={"stall_timeout": "20s"})
    handler = upstream.behaviour = Laggard(False)
    with secured(daemon.port, client(authority)) as connection:
        connection.send(head(key))
        assert connection.head().status == 101
        least = sent = pour(connection.socket)
        with socket.socket(fileno=os.dup(connection.socket.fileno())) as raw:
            if way == "is reset":
                least -= unsent(raw) + 2 * len(RECORD)
                reset(raw)
                connection.close()
            elif way == "is cut":
                raw.shutdown(socket.SHUT_WR)
            else:
                handler.go.set()
                least = sent = sent + connection.socket.send(RECORD)
                with suppress(OSError, ValueError):
                    connection.socket.unwrap()
        handler.go.set()
        assert handler.ended.wait(60)
    assert handler.problem is None
    assert sent >= handler.got >= least > 0
    reason = None if way == "says an end" else "client_closed"
    assert [line.get("reason") for line in daemon.lines(2)] == [None, reason]


# What TLS reads and writes by stays with a connection: 32 KiB, which double once, and 16 KiB. A short message touches little of it.
@pytest.mark.parametrize(
    ("count", "answered", "sent", "most"),
    [(400, 100, 0, 32 << 10), (60, 256 << 10, 0, 80 << 10), (60, 100, 256 << 10, 128 << 10)],
)
def test_an_idle_connection_takes_little(secure, upstream, authority, key, count, answered, sent, most):
    """Of memory: measured over many, as they are kept between requests."""
    daemon = secure(loops=1, limits={"connections": 4000})
    context = client(authority)
    upstream.behaviour = lambda *_: reply(b"x" * answered)
    asked = ("POST", "/files/a", {"X-API-Key": key}, b"x" * sent) if sent else ("GET", PATH)
    with ExitStack() as stack:
        for round in range(2):
            if round == 1:
                before = daemon.resident()
            for _ in range(count if round else 20):
                connection = stack.enter_context(secured(daemon.port, context))
                assert connection.request(*asked).status == 200
        each = (daemon.resident() - before) / count
    assert each < most, each


@pytest.mark.parametrize(("line", "mode", "protocol"), [(1, "legacy", "2025-11-25"), (2, "auto", "2026-07-28")])
def test_a_session_of_the_sdk(launch, authority, stepwise, ctl, line, mode, protocol):
    url = stepwise(2)
    entry = {"address": "127.0.0.1:0", "tls": authority.issue("local", "localhost").settings()}
    daemon = launch(url, listen=entry)
    done = run_client(
        python(line),
        "session.py",
        f"https://localhost:{daemon.port}/mcp",
        url,
        mode,
        key=ctl.issue()["key"],
        SSL_CERT_FILE=str(authority.file),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["protocol"], said["sum"], said["climbed"]) == (protocol, "42", "climbed 5")
    assert said["seen"] == [1, 2, 3, 4, 5]
