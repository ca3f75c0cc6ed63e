# SPDX-License-Identifier: Apache-2.0
"""The handler by TLS: who it is, what goes wrong, what passes, and where it ends."""

import hashlib
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from fixtures.authority import DAY, Authority
from fixtures.clients import CLIENTS, python, running_handler
from fixtures.departure import Departure, Laggard, pour, reset, rest, saying
from fixtures.flow import handler_slows_caller, reader_slows_handler
from fixtures.ports import free_port
from fixtures.programs import built
from fixtures.tunnel import SWITCH, tunnel
from fixtures.upstream import Upstream, reply
from fixtures.wire import Closed, Connection, Stopwatch, Truncated, ask, request_bytes, until
from websockets.sync.client import connect
from websockets.sync.server import serve

HERE = Path(__file__).parent
PATH = "/api/listings"
LONG = "TOLLGATE_LONG" in os.environ
WIDE = [{"name": "org", "per": "org", "limit": "1000000/1s"}]
CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def authority(folder) -> Authority:
    return Authority(folder / "pki")


def context(pair, version: ssl.TLSVersion | None = None, clients: Authority | None = None) -> ssl.SSLContext:
    """Of a handler that shows this certificate, and wants one of `clients` of whoever comes."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pair.certificate, pair.key)
    if version:
        made.minimum_version = made.maximum_version = version
    if clients:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(clients.file)
    return made


@pytest.fixture
def pair(authority):
    return authority.issue("handler", "localhost", "127.0.0.1")


@pytest.fixture
def upstream(pair):
    handler = Upstream(context=context(pair))
    yield handler
    handler.close()


@pytest.fixture
def secured(launch, authority):
    """Starts daemons that trust the test's authority: `secured(upstream, tls={…}, …)`."""

    def start(upstream, tls: dict | None = None, **settings):
        given = {"tls": {"ca": str(authority.file), **(tls or {})}, **settings.pop("upstream_settings", {})}
        return launch(upstream, upstream_settings=given, **{"policies": WIDE, **settings})

    return start


def is_told(daemon, key: str, reason: str, words: str, status: int = 502):
    """By the answer, by the access log, by the daemon's and by a count."""
    told = f'error upstream can\'t be connected to error="{words}"'
    answer = ask(daemon.port, "GET", PATH, key)
    assert answer.status == status
    assert answer.json()["detail"] == ("Upstream unreachable" if status == 502 else "Upstream too slow")
    assert daemon.lines(1)[0]["reason"] == reason
    until(lambda: told in daemon.said(), f"{told}: {daemon.said()}")
    count = f'tollgate_refusals_total{{reason="{reason}"'
    page = ask(daemon.admin, "GET", "/metrics", fields={"Host": "localhost"}).body.decode()
    assert any(line.startswith(count) for line in page.splitlines()), page
    for _ in range(3):
        assert ask(daemon.port, "GET", PATH, key).status == status
    assert daemon.times_said("upstream can't be connected to") == 1


# ---- who it is ----


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_and_its_answer(secured, upstream, pair, key, version):
    upstream.context = context(pair, version)
    seen = []
    upstream.context.set_alpn_protocols(["h2", "http/1.1"])
    upstream.context.sni_callback = lambda _, name, __: seen.append(name)
    upstream.behaviour = lambda _, tls: reply(tls.selected_alpn_protocol().encode())
    daemon = secured(upstream, loops=1)
    for _ in range(3):
        answer = ask(daemon.port, "GET", PATH, key)
        assert (answer.status, answer.body) == (200, b"http/1.1")
    # One connection, which is kept.
    assert [request.connection for request in upstream.requests] == [1, 1, 1]
    assert seen == ["localhost"]
    assert upstream.last.get("X-Forwarded-Proto") == "http"
    assert f"upstream=https://localhost:{upstream.port}" in daemon.said()
    status = ask(daemon.admin, "GET", "/status", fields={"Host": "localhost"}).json()
    assert status["upstream"]["address"] == f"https://localhost:{upstream.port}"


def test_an_address_has_to_be_named(secured, upstream, authority, key):
    """And is told to nobody as a name."""
    seen = []
    upstream.context.sni_callback = lambda _, name, __: seen.append(name)
    url = f"https://127.0.0.1:{upstream.port}"
    assert ask(secured(url).port, "GET", PATH, key).status == 200
    assert seen == [None]
    upstream.context = context(authority.issue("other", "localhost"))
    words = (
        f"the certificate of 127.0.0.1:{upstream.port} is for other names than 127.0.0.1 (upstream.tls.server_name)"
    )
    is_told(secured(url), key, "upstream_other_name", words)


def test_an_address_of_ipv6(secured, authority, key):
    handler = Upstream(host="::1", context=context(authority.issue("six", "::1")))
    seen = []
    handler.context.sni_callback = lambda _, name, __: seen.append(name)
    assert ask(secured(f"https://[::1]:{handler.port}").port, "GET", PATH, key).status == 200
    assert seen == [None]
    handler.close()


def test_whom_the_system_trusts(launch, upstream, authority, key):
    daemon = launch(upstream, env={"SSL_CERT_FILE": str(authority.file)})
    assert ask(daemon.port, "GET", PATH, key).status == 200


def test_the_name_of_the_settings(secured, upstream, authority, key):
    upstream.context = context(authority.issue("named", "handler.example"))
    seen = []
    upstream.context.sni_callback = lambda _, name, __: seen.append(name)
    daemon = secured(upstream, {"server_name": "handler.example"})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert seen == ["handler.example"]


def test_an_authority_that_is_not_trusted(secured, upstream, folder, key):
    other = Authority(folder / "pki", "other")
    daemon = secured(upstream, {"ca": str(other.file)})
    words = f"the certificate of localhost:{upstream.port} isn't signed by upstream.tls.ca"
    is_told(daemon, key, "upstream_untrusted", words)
    # Nothing of a request was written.
    assert upstream.received == b""


@pytest.mark.parametrize("life, words", [
    ((-2 * DAY, -DAY), "has expired"), ((DAY, 2 * DAY), "isn't valid yet; is the clock right?"),
])  # fmt: skip
def test_a_certificate_of_another_time(secured, upstream, authority, pair, key, life, words):
    upstream.context = context(authority.issue("old", "localhost", life=life))
    daemon = secured(upstream)
    is_told(daemon, key, "upstream_expired", f"the certificate of localhost:{upstream.port} {words}")
    # Once it is mended requests go on, and that is told.
    upstream.context = context(pair)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    until(lambda: daemon.times_said("notice upstream is connected to again") == 1, "the end of it")


def test_who_has_mended_one_thing_hears_of_the_next(secured, upstream, authority, key):
    upstream.context = context(authority.issue("old", "localhost", life=(-2 * DAY, -DAY)))
    daemon = secured(upstream)
    assert ask(daemon.port, "GET", PATH, key).status == 502
    upstream.context = context(authority.issue("other", "elsewhere.example"))

    def is_told_of_the_name() -> bool:
        assert ask(daemon.port, "GET", PATH, key).status == 502
        return "is for other names than localhost" in daemon.said()

    until(is_told_of_the_name, "the other name being told", pause=0.2)
    assert daemon.times_said("upstream can't be connected to") == 2


@pytest.mark.parametrize("names", [["elsewhere.example"], ["127.0.0.1"], []])
def test_a_certificate_for_others(secured, upstream, authority, key, names):
    """Whoever changes what a name leads to may have one for his own address, and gets no request for it."""
    upstream.context = context(authority.issue("other", *names))
    words = (
        f"the certificate of localhost:{upstream.port} is for other names than localhost (upstream.tls.server_name)"
    )
    is_told(secured(upstream), key, "upstream_other_name", words)
    assert upstream.received == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate(secured, upstream, authority, pair, folder, key, version):
    upstream.context = context(pair, version, clients=authority)
    client = authority.issue("client")
    daemon = secured(upstream, client.settings())
    assert ask(daemon.port, "GET", PATH, key).status == 200
    stranger = Authority(folder / "pki", "other").issue("stranger")
    refused = secured(upstream, stranger.settings())
    assert ask(refused.port, "GET", PATH, key).status == 502
    # Who says so after its own handshake (TLS 1.3) may be gone before it was heard.
    words = f"localhost:{upstream.port} refuses the client certificate (upstream.tls.certificate): unknown ca"
    reasons = {"upstream_wants_certificate"} | ({"upstream_closed"} if version == ssl.TLSVersion.TLSv1_3 else set())
    assert refused.lines(1)[0]["reason"] in reasons
    if refused.lines(1)[0]["reason"] == "upstream_wants_certificate":
        assert words in refused.said()
    without = secured(upstream)
    assert ask(without.port, "GET", PATH, key).status == 502
    told = [
        f"localhost:{upstream.port} wants a client certificate (upstream.tls.certificate)",
        "does it want a client certificate (upstream.tls.certificate)?",
    ]
    until(lambda: any(words in without.said() for words in told), f"the want being told: {without.said()}")
    assert without.lines(1)[0]["reason"] in {"upstream_wants_certificate", "upstream_closed", "upstream_tls"}
    assert len(upstream.requests) == 1


def test_a_handler_that_speaks_plainly(secured, key):
    handler = Upstream()
    handler.behaviour = lambda *_: reply(b"never")

    def answer_nonsense(connection: socket.socket, _: int):
        with suppress(OSError):
            connection.recv(65536)
            connection.sendall(reply(b"what?", "400 Bad Request"))
        connection.close()

    handler.serve = answer_nonsense
    url = f"https://localhost:{handler.port}"
    words = f"localhost:{handler.port} doesn't speak TLS there: is its URL http://, or its TLS port another?"
    is_told(secured(url), key, "upstream_tls", words)
    handler.close()


def test_a_handler_that_hangs_up(secured, key):
    handler = Upstream()
    handler.serve = lambda connection, _: (connection.recv(65536), connection.close())
    url = f"https://localhost:{handler.port}"
    words = f"localhost:{handler.port} closed the connection during the TLS handshake"
    is_told(secured(url), key, "upstream_tls", words)
    handler.close()


def test_a_handler_that_is_frozen_in_the_handshake(secured, key):
    """It has the time that connecting has."""
    over = threading.Event()
    handler = Upstream()
    handler.serve = lambda connection, _: (over.wait(60), connection.close())
    daemon = secured(f"https://localhost:{handler.port}", upstream_settings={"connect_timeout": "500ms"})
    words = f"the TLS handshake with localhost:{handler.port} wasn't finished in time; does it speak TLS there?"
    watch = Stopwatch()
    assert ask(daemon.port, "GET", PATH, key).status == 504
    assert watch.took() < 5
    is_told(daemon, key, "upstream_connect_timeout", words, status=504)
    over.set()
    handler.close()


# ---- files that change ----


@contextmanager
def callers(daemon, key: str, count: int = 4):
    """Ask without a pause; what they were answered is counted."""
    over, statuses = threading.Event(), {}

    def call():
        with Connection(daemon.port) as connection:
            while not over.is_set():
                status = connection.request("GET", PATH, {"X-API-Key": key}).status
                statuses[status] = statuses.get(status, 0) + 1

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield statuses
    over.set()
    for thread in threads:
        thread.join()


def test_rotation_under_load_fails_no_request(secured, upstream, authority, folder, key):
    """Of the handler's certificate and its authority, and of ours."""
    trusted, client = folder / "trusted.crt", authority.issue("client")
    trusted.write_bytes(authority.file.read_bytes())
    daemon = secured(upstream, {"ca": str(trusted), **client.settings()})
    with callers(daemon, key) as statuses:
        until(lambda: statuses.get(200, 0) > 50, "some answers")
        second = Authority(folder / "pki", "second")
        # Both are trusted for a while, as whoever changes an authority does it.
        trusted.with_suffix(".new").write_bytes(authority.file.read_bytes() + second.file.read_bytes())
        trusted.with_suffix(".new").replace(trusted)
        until(lambda: daemon.times_said("notice certificates have changed") == 1, "both being trusted")
        upstream.context = context(second.issue("handler2", "localhost"), clients=authority)
        new = authority.issue("client2")
        client.certificate.write_bytes(new.certificate.read_bytes())
        client.key.write_bytes(new.key.read_bytes())
        until(lambda: daemon.times_said("notice certificates have changed") >= 2, "the pair having changed")
        before = statuses[200]
        until(lambda: statuses[200] > before + 50, "some answers more")
        trusted.with_suffix(".new").write_bytes(second.file.read_bytes())
        trusted.with_suffix(".new").replace(trusted)
        until(lambda: daemon.times_said("notice certificates have changed") >= 3, "the old one being forgotten")
        before = statuses[200]
        until(lambda: statuses[200] > before + 50, "some answers more")
    assert set(statuses) == {200}
    assert "setting=upstream.tls" in daemon.said() and "BEGIN" not in daemon.said()


def test_bad_files_keep_the_last_ones(secured, upstream, authority, folder, key):
    trusted = folder / "trusted.crt"
    trusted.write_bytes(authority.file.read_bytes())
    daemon = secured(upstream, {"ca": str(trusted)})
    trusted.write_text("-----BEGIN CERTIFICATE-----\nMIIB")
    told = (
        'warning certificates can\'t be read: the last ones stay in force error="no certificate in PEM, or one that is cut '
        f'off" file={trusted} setting=upstream.tls'
    )
    until(lambda: told in daemon.said(), f"the cut file being told: {daemon.said()}")
    upstream.close_idle()
    assert ask(daemon.port, "POST", PATH, key, body=b"{}").status in (200, 502)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    trusted.write_bytes(authority.file.read_bytes())
    until(lambda: daemon.times_said("notice certificates can be read again setting=upstream.tls") == 1, "the end of it")
    assert daemon.times_said(told) == 1


def test_an_authority_that_is_trusted_no_more_gets_no_further_request(secured, upstream, authority, folder, key):
    """Not on the connections either that are open; what is under way comes to its end."""
    trusted, release = folder / "trusted.crt", threading.Event()
    trusted.write_bytes(authority.file.read_bytes())
    daemon = secured(upstream, {"ca": str(trusted)}, loops=1)
    upstream.behaviour = lambda request, _: reply(b"kept") if request.method == "GET" else release.wait(30) and reply()
    assert ask(daemon.port, "GET", PATH, key).status == 200
    with Connection(daemon.port) as slow:
        slow.send(request_bytes("POST", PATH, {"X-API-Key": key}, b"{}"))
        upstream.wait_for(2)
        trusted.write_bytes(Authority(folder / "pki", "other").file.read_bytes())
        until(lambda: daemon.times_said("notice certificates have changed") == 1, "the change")
        assert ask(daemon.port, "GET", PATH, key).status == 502
        release.set()
        assert slow.response("POST").status == 200
    until(lambda: upstream.open == 0, "all connections by the old authority being closed")


def test_from_http_to_https_and_back(secured, upstream, authority, key):
    plain = Upstream()
    daemon = secured(upstream)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    daemon.reload(upstream={"url": plain.url})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert len(plain.requests) == 1
    daemon.reload(upstream={"url": upstream.url, "tls": {"ca": str(authority.file)}})
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert len(upstream.requests) == 2
    daemon.settings |= {"upstream": {"url": upstream.url, "tls": {"ca": "/nowhere/ca.crt"}}}
    daemon.write()
    daemon.is_refused("upstream.tls.ca: expected a file of certificates of authorities, got /nowhere/ca.crt: no such file")
    assert ask(daemon.port, "GET", PATH, key).status == 200
    plain.close()


# ---- where it ends ----


def farewell(tls: ssl.SSLSocket):
    """A close_notify, and the connection's end (RFC 8446 §6.1)."""
    with suppress(OSError, ValueError):
        tls.unwrap().close()


def cut(tls: ssl.SSLSocket):
    """The end of the connection alone, as somebody on the way can feign it."""
    socket.socket(fileno=os.dup(tls.fileno())).shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("end, is_whole", [(farewell, True), (cut, False)])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_only_a_farewell_ends_a_body_without_length(secured, upstream, pair, key, end, is_whole, version):
    upstream.context = context(pair, version)

    def answer(_, tls):
        tls.sendall(CLOSE_DELIMITED + b"all of it?")
        end(tls)

    upstream.behaviour = answer
    daemon = secured(upstream)
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", PATH, {"X-API-Key": key}))
        if is_whole:
            assert connection.response().body == b"all of it?"
        else:
            with pytest.raises((Truncated, Closed, ConnectionError)):
                connection.response()
    # To a client of HTTP/1.0 only the end of the connection says so: it is a reset.
    with Connection(daemon.port) as connection:
        connection.send(f"GET {PATH} HTTP/1.0\r\nX-API-Key: {key}\r\n\r\n".encode())
        if is_whole:
            assert connection.response().body == b"all of it?"
        else:
            with pytest.raises(ConnectionResetError):
                while connection.socket.recv(65536):
                    pass
    reasons = [line.get("reason") for line in daemon.lines(2)]
    assert reasons == ([None] * 2 if is_whole else ["upstream_truncated"] * 2)


@pytest.mark.parametrize("end", [farewell, cut])
@pytest.mark.parametrize("answer", [reply(b"whole"), CHUNKED + b"5\r\nwhole\r\n0\r\n\r\n"], ids=["length", "chunks"])
def test_a_body_with_its_own_end_needs_no_farewell(secured, upstream, key, answer, end):
    upstream.behaviour = lambda _, tls: (tls.sendall(answer), end(tls), None)[2]
    daemon = secured(upstream)
    for _ in range(3):
        with Connection(daemon.port) as connection:
            assert connection.request("GET", PATH, {"X-API-Key": key}).body == b"whole"


@pytest.mark.parametrize("end", [farewell, cut])
@pytest.mark.parametrize(
    "answer", [reply(b"whole")[:-1], CHUNKED + b"5\r\nwhole\r\n"], ids=["length", "chunks"]
)
def test_a_body_that_is_not_whole_never_is(secured, upstream, key, answer, end):
    upstream.behaviour = lambda _, tls: (tls.sendall(answer), end(tls), None)[2]
    daemon = secured(upstream)
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", PATH, {"X-API-Key": key}))
        with pytest.raises((Truncated, Closed, ConnectionError)):
            connection.response()
    assert daemon.lines(1)[0]["reason"] == "upstream_truncated"


@pytest.mark.parametrize("end", [farewell, cut])
def test_an_idle_connection_that_ends_is_no_error(secured, upstream, key, end):
    held = []
    upstream.behaviour = lambda _, tls: held.append(tls) or reply()
    daemon = secured(upstream, loops=1)
    for count in range(1, 4):
        assert ask(daemon.port, "GET", PATH, key).status == 200
        end(held.pop())
        until(lambda: upstream.open == 0, "the connection's end")
        assert upstream.accepted == count
    assert "can't be connected to" not in daemon.said()


def test_a_connection_that_ends_as_the_request_comes(secured, upstream, key):
    """What can be repeated is, on a new connection; the handler closes once it has the request."""
    seen = []

    def answer(request, tls):
        seen.append(request.method)
        if request.connection == 1 and len(seen) == 2:
            return None
        return reply()

    upstream.behaviour = answer
    daemon = secured(upstream, loops=1)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert ask(daemon.port, "GET", PATH, key).status == 200
    assert [request.connection for request in upstream.requests] == [1, 1, 2]


def spoil(tls: ssl.SSLSocket):
    """A record that nobody can read."""
    with socket.socket(fileno=os.dup(tls.fileno())) as plain:
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))


def test_what_tls_meets_behind_a_request_is_charged(secured, upstream, key):
    """The handler has read it, and may have done what it asks for."""
    upstream.behaviour = lambda request, tls: spoil(tls) if request.method == "POST" else reply()
    daemon = secured(upstream, policies=[{"name": "org", "per": "org", "limit": "100/1d"}])
    assert ask(daemon.port, "POST", PATH, key, body=b"{}").status == 502
    assert daemon.lines(1)[0]["reason"] == "upstream_closed"
    answer = ask(daemon.port, "GET", PATH, key)
    assert (answer.status, answer["X-RateLimit-Remaining"]) == (200, "98")


def test_a_handler_that_falls_is_not_asked_for_certificates(secured, upstream, key):
    """It has answered by TLS, so what it was shown will do."""
    upstream.behaviour = lambda request, _: reply() if request.method == "GET" else None
    daemon = secured(upstream, loops=1)
    assert ask(daemon.port, "GET", PATH, key).status == 200
    upstream.close_idle()
    until(lambda: upstream.open == 0, "the connection's end")
    for _ in range(2):
        assert ask(daemon.port, "POST", PATH, key, body=b"{}").status == 502
    assert [line.get("reason") for line in daemon.lines(3)] == [None, "upstream_closed", "upstream_closed"]
    assert "can't be connected to" not in daemon.said()


@pytest.mark.parametrize("end", [farewell, cut])
def test_an_answer_without_a_body_needs_no_farewell(secured, upstream, key, end):
    def answer(request, tls):
        tls.sendall(reply(b"", "204 No Content") if request.method == "GET" else CLOSE_DELIMITED)
        end(tls)

    upstream.behaviour = answer
    daemon = secured(upstream)
    for method, status in {"GET": 204, "HEAD": 200}.items():
        with Connection(daemon.port) as connection:
            assert connection.request(method, PATH, {"X-API-Key": key}).status == status
    assert [line.get("reason") for line in daemon.lines(2)] == [None, None]


@pytest.mark.parametrize("end", [farewell, cut])
def test_a_hint_is_no_answer(secured, upstream, key, end):
    def answer(_, tls):
        tls.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        end(tls)

    upstream.behaviour = answer
    daemon = secured(upstream)
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", PATH, {"X-API-Key": key}, b"{}"))
        assert connection.head().status == 103
        assert connection.response("POST").status == 502
    assert daemon.lines(1)[0]["reason"] == "upstream_closed"


def test_a_caller_who_leaves_during_the_handshake(secured, upstream, key):
    """Its connection is the next one's."""
    release, serve_one = threading.Event(), upstream.serve
    upstream.serve = lambda *given: (release.wait(30), serve_one(*given))
    daemon = secured(upstream, loops=1, upstream_settings={"max_connections": 1, "connect_timeout": "20s"})
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", PATH, {"X-API-Key": key}))
        until(lambda: upstream.accepted == 1, "the handshake's beginning")
        # A reset: who has closed its side alone may still read.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: daemon.lines(1)[0]["reason"] == "client_closed", "the caller being gone")
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", PATH, {"X-API-Key": key}))
        release.set()
        assert connection.response().status == 200
    assert upstream.accepted == 1


# ---- what passes ----


def test_large_bodies_are_what_they_were(secured, upstream, key):
    size = (50 if LONG else 4) << 20
    given = os.urandom(1 << 20) * (size >> 20)

    def give_back(connection: socket.socket, _: int):
        with upstream.context.wrap_socket(connection, server_side=True) as tls, tls.makefile("rb") as file:
            while file.readline() != b"\r\n":
                pass
            body = file.read(size)
            tls.sendall(reply(body, fields={"X-Hash": hashlib.sha256(body).hexdigest(), "Connection": "close"}))
            farewell(tls)

    upstream.serve = give_back
    daemon = secured(upstream, limits={"body_bytes": "64MiB"})
    with Connection(daemon.port) as connection:
        sender = threading.Thread(
            target=lambda: connection.send(request_bytes("POST", PATH, {"X-API-Key": key}, given))
        )
        sender.start()
        answer = connection.response("POST")
        sender.join()
    assert answer.status == 200
    assert answer["X-Hash"] == hashlib.sha256(given).hexdigest() == hashlib.sha256(answer.body).hexdigest()


def test_octet_by_octet(secured, upstream, key):
    """A record each, in both directions."""
    answer = CHUNKED + b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\nX-T: 1\r\n\r\n"

    def drip(_, tls):
        for octet in answer:
            tls.sendall(bytes([octet]))
        return b""

    upstream.behaviour = drip
    daemon = secured(upstream)
    request = request_bytes("POST", PATH, {"X-API-Key": key}, b"0123456789")
    for _ in range(2):
        with Connection(daemon.port) as connection:
            for octet in request:
                connection.send(bytes([octet]))
            assert connection.response("POST").body == b"abcdef"
    assert [one.body for one in upstream.requests] == [b"0123456789"] * 2


class Dripping:
    """Passes octets between the daemon and a handler one at a time, so that records come in pieces."""

    def __init__(self, port: int, size: int):
        self.target, self.size = port, size
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                one, _ = self.listener.accept()
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", self.target))
            for left, right in ((one, other), (other, one)):
                left.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.relay, args=(left, right), daemon=True).start()

    def relay(self, left: socket.socket, right: socket.socket):
        with suppress(OSError):
            while octets := left.recv(65536):
                for start in range(0, len(octets), self.size):
                    right.sendall(octets[start : start + self.size])
            right.shutdown(socket.SHUT_WR)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.mark.parametrize("size", [1, 7])
def test_records_in_pieces(secured, upstream, key, size):
    between = Dripping(upstream.port, size)
    daemon = secured(f"https://localhost:{between.port}", upstream_settings={"connect_timeout": "20s"})
    with Connection(daemon.port) as connection:
        for _ in range(3):
            assert connection.request("POST", PATH, {"X-API-Key": key}, b"x" * 500).json()["length"] == 500
    between.close()


def test_events_leave_as_they_arrive(secured, upstream, key):
    turns = [threading.Event() for _ in range(4)]

    def stream(_, tls):
        tls.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for number, turn in enumerate(turns):
            assert turn.wait(30)
            event = b"data: %d\n\n" % number
            tls.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        return b"0\r\n\r\n"

    upstream.behaviour = stream
    daemon = secured(upstream)
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("GET", "/mcp", {"X-API-Key": key, "Accept": "text/event-stream"}))
        assert connection.head().status == 200
        for number, turn in enumerate(turns):
            turn.set()
            assert connection.chunk() == b"data: %d\n\n" % number
        assert connection.chunk() == b""


def test_a_slow_reader_slows_the_handler_and_costs_no_memory(secured, upstream, key):
    reader_slows_handler(secured(upstream), upstream, key, (64 if LONG else 24) << 20)


def test_a_slow_handler_slows_the_caller_and_costs_no_memory(secured, upstream, key):
    handler_slows_caller(secured(upstream, limits={"body_bytes": "1GiB"}), upstream, key)


def test_an_early_answer_ends_an_upload(secured, upstream, key):
    """The handler answers before it has the body, and closes."""

    def refuse(_, tls):
        tls.sendall(reply(b"too much", "413 Content Too Large", {"Connection": "close"}))
        farewell(tls)

    upstream.on_head = refuse
    daemon = secured(upstream, limits={"body_bytes": "1GiB"})
    with Connection(daemon.port) as connection:
        connection.send(request_bytes("POST", PATH, {"X-API-Key": key, "Content-Length": str(64 << 20)}))
        with suppress(OSError):
            for _ in range(64):
                connection.socket.send(b"x" * 65536)
        answer = connection.response("POST")
        assert (answer.status, answer.body) == (413, b"too much")


def test_expect_is_answered_by_the_handler(secured, upstream, key):
    upstream.on_head = lambda request, tls: tls.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    daemon = secured(upstream)
    with Connection(daemon.port) as connection:
        connection.send(
            request_bytes("POST", PATH, {"X-API-Key": key, "Content-Length": "2", "Expect": "100-continue"})
        )
        assert connection.head().status == 100
        connection.send(b"{}")
        assert connection.response("POST").status == 200
    assert upstream.last.body == b"{}"


def test_a_web_socket(launch, pair, authority, key):
    def talk(socket):
        for message in socket:
            socket.send(message)

    server = serve(talk, "127.0.0.1", 0, ssl=context(pair), max_size=4 << 20)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://localhost:{server.socket.getsockname()[1]}"
    daemon = launch(url, upstream_settings={"tls": {"ca": str(authority.file)}}, policies=WIDE)
    with connect(
        f"ws://127.0.0.1:{daemon.port}/files/socket", additional_headers={"X-API-Key": key}, proxy=None,
        max_size=4 << 20, compression=None,
    ) as client:  # fmt: skip
        for size in (0, 1, 125, 65536, 1 << 20):
            octets = os.urandom(size)
            client.send(octets)
            assert client.recv(timeout=30) == octets
        client.close(4001, "enough")
    server.shutdown()


@pytest.mark.parametrize("end, is_clean", [(farewell, True), (cut, False)])
def test_a_tunnel_gives_all_that_came_however_the_handler_ends_it(secured, upstream, key, end, is_clean):
    """A message that breaks off is seen by its length, and a farewell is a frame: so a missing one of TLS is for the log."""

    def switch(_, tls):
        tls.sendall(SWITCH + b"\x81\x03bye")
        end(tls)

    upstream.behaviour = switch
    daemon = secured(upstream)
    with tunnel(daemon, key) as connection:
        assert rest(connection) == b"\x81\x03bye"
    assert [line.get("reason") for line in daemon.lines(2)] == [None, None if is_clean else "upstream_truncated"]


def test_a_write_that_meets_a_reset_costs_nothing_of_what_came(secured, upstream, key):
    daemon = secured(upstream)
    leave = upstream.behaviour = Departure(saying(SWITCH, None))
    with tunnel(daemon, key) as connection:
        leave.watch(daemon, connection)
        # Of the last record nobody can read a part.
        assert len(rest(connection)) >= leave.taken - (16 << 10) > 0
    assert [line.get("reason") for line in daemon.lines(2)] == [None, "upstream_truncated"]


@pytest.mark.parametrize("way", ["is reset", "ends its side"])
def test_a_slow_handler_gets_what_came_from_a_client_that_left(secured, upstream, key, way):
    """And a farewell, though its client had none."""
    daemon = secured(upstream, limits={"stall_timeout": "20s"})
    handler = upstream.behaviour = Laggard(False)
    with tunnel(daemon, key) as connection:
        taken = pour(connection.socket)
        if way == "is reset":
            reset(connection.socket)
            connection.close()
            daemon.lines(2)
        else:
            connection.socket.shutdown(socket.SHUT_WR)
        handler.go.set()
        assert handler.ended.wait(60)
    # Without a close_notify this is an error (`suppress_ragged_eofs`).
    assert handler.problem is None
    assert handler.got >= taken > 0
    assert [line.get("reason") for line in daemon.lines(2)] == [None, "client_closed" if way == "is reset" else None]


def test_links_of_the_handler_lead_to_the_client(secured, upstream, key):
    """By its own address it means the place where it is, whatever the client speaks."""
    daemon = secured(upstream)
    own = f"localhost:{upstream.port}"
    for link, given in {
        f"https://{own}/x": "http://shop.example/x",
        f"http://{own}/x": "http://shop.example/x",
        "https://shop.example/x": "https://shop.example/x",
        "https://elsewhere.example/x": "https://elsewhere.example/x",
    }.items():
        upstream.behaviour = lambda *_, link=link: reply(b"", "302 Found", {"Location": link})
        with Connection(daemon.port) as connection:
            connection.send(
                f"GET {PATH} HTTP/1.1\r\nHost: shop.example\r\nX-API-Key: {key}\r\n\r\n".encode()
            )
            assert connection.response()["Location"] == given


@pytest.mark.parametrize("line", [0, 1, 2] if LONG else [2])
def test_a_session_of_the_sdk(secured, authority, pair, key, line):
    with ExitStack() as stack:
        port = stack.enter_context(
            running_handler(line, HERE / "every_wire.py", str(pair.certificate), str(pair.key))
        )
        handler = f"https://127.0.0.1:{port}"
        paths = ["/old", "/sessions", "/stateless"] + (["/json", "/mounted"] if LONG else [])
        daemon = secured(handler, routes=[{"path": path, "mcp": True} for path in paths])
        player = subprocess.Popen(
            [python(line), CLIENTS / "wires.py"],
            env={**os.environ, "TOLLGATE_KEY": key, "SSL_CERT_FILE": str(authority.file)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        for path in paths:
            scene = {
                "scene": "converse", "url": f"http://127.0.0.1:{daemon.port}{path}", "handler": handler,
                "run": path.strip("/"), "old": path == "/old", "calls": [["add", {"a": 19, "b": 23}]],
                **({} if path == "/json" else {"steps": 2}),
            }  # fmt: skip
            player.stdin.write(json.dumps(scene) + "\n")
            player.stdin.flush()
            said = json.loads(player.stdout.readline())
            assert "failed" not in said, (path, said)
            assert said["called"] == ["42"] and said.get("climbed", "climbed 2") == "climbed 2", said
        player.stdin.close()
        player.wait(60)
        player.stdout.close()


# ---- what else asks the handler, or tells of it ----


def test_the_document_of_the_handler(secured, upstream, authority, folder, key):
    document = {
        "openapi": "3.1.0", "info": {"title": "t", "version": "1"},
        "paths": {"/told": {"get": {"responses": {"200": {"description": "ok"}}}}},
    }  # fmt: skip
    upstream.behaviour = lambda request, _: reply(
        json.dumps(document).encode() if request.target == "/openapi.json" else b"ok"
    )
    daemon = secured(upstream, routes=[{"openapi": "/openapi.json"}])
    assert ask(daemon.port, "GET", "/told", key).status == 200
    other = Authority(folder / "pki", "other")
    distrusting = secured(
        upstream, {"ca": str(other.file)}, ready=False, routes=[{"openapi": f"{upstream.url}/openapi.json"}]
    )
    told = f'error="the certificate of localhost:{upstream.port} isn\'t signed by upstream.tls.ca"'
    until(lambda: told in distrusting.said(), f"the stranger being told: {distrusting.said()}")
    arguments = ["config", "init", "--openapi", f"{upstream.url}/openapi.json"]
    done = subprocess.run(
        [built("tollgate"), *arguments], env={**os.environ, "SSL_CERT_FILE": str(authority.file)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f'url: "{upstream.url}"' in done.stdout and '{path: "/told", methods: [GET]}' in done.stdout
    check = [built("tollgate"), "config", "check", "--openapi", str(daemon.config)]
    done = subprocess.run(check, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"forwards to {upstream.url}" in done.stdout and "/told" in done.stdout


@pytest.mark.parametrize("tls, flaw", [
    ({"ca": "/nowhere/ca.crt"}, "upstream.tls.ca: expected a file of certificates of authorities, got /nowhere/ca.crt: no such file"),
    ({"certificate": "/nowhere/a.crt"}, "upstream.tls.certificate: expected upstream.tls.key beside it, got no such key"),
])  # fmt: skip
def test_files_that_are_not_there_keep_it_from_starting(launch, tls, flaw):
    daemon = launch(f"https://localhost:{free_port()}", upstream_settings={"tls": tls}, wait=False)
    assert daemon.wait() == 78
    assert flaw in daemon.said()
