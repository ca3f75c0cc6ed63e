# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol on a listener: HAProxy and nginx relay octets and say whose they are, and nobody else may."""

import contextlib
import os
import socket
import ssl
import struct
import subprocess

import pytest
from fixtures.authority import Authority
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.upstream import reply
from fixtures.wire import Connection, accepts, ask, request_bytes, until
from test_metrics import by, value
from test_websocket import Handler
from websockets.sync.client import connect

#: Whom the proxies relay: other addresses than theirs.
CALLER, OTHER = "127.0.0.7", "127.0.0.8"
TRUSTED = {"trusted_proxies": ["127.0.0.1"]}
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\0\0\0"

HAPROXY = """
global
    maxconn 500
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 5s
frontend callers
    bind 127.0.0.1:{port}
    unique-id-format %ci:%cp
    default_backend tollgate
backend tollgate
    {checks}
    server tollgate 127.0.0.1:{daemon} {options}
"""
NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
error_log {folder}/nginx.log warn;
pid {folder}/nginx.pid;
daemon off;
master_process off;
events {{ worker_connections 256; }}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{daemon};
        proxy_protocol on;
    }}
}}
"""
#: How HAProxy calls what it sends.
OPTIONS = {
    "haproxy 1": "send-proxy",
    "haproxy 2": "send-proxy-v2",
    "haproxy 2 with extensions": "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority",
}


@pytest.fixture
def relay(folder):
    """Starts a proxy in front of a port, and says where."""
    running: list[subprocess.Popen] = []

    def start(sender: str, daemon: int, options: str = "", checks: str = "") -> int:
        own = folder / f"relay{len(running)}"
        own.mkdir()
        port, file = free_port(), own / "relay.conf"
        if sender == "nginx":
            file.write_text(NGINX.format(folder=own, port=port, daemon=daemon))
            command = ["nginx", "-p", own, "-c", file, "-e", own / "nginx.log"]
        else:
            file.write_text(HAPROXY.format(port=port, daemon=daemon, options=f"{OPTIONS[sender]} {options}", checks=checks))
            command = ["haproxy", "-f", file]
        with (own / "output.log").open("wb") as log:
            running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        process = running[-1]
        until(lambda: process.poll() is not None or accepts(port), f"{sender} listening")
        assert process.poll() is None, (own / "output.log").read_text()
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


@pytest.fixture
def proxied(launch):
    """Starts a daemon that wants the header."""

    def start(upstream, address: str = "127.0.0.1:0", tls: dict | None = None, **settings):
        entry = {"address": address, "proxy_protocol": True, **({"tls": tls} if tls else {})}
        return launch(upstream, listen=entry, **TRUSTED | settings)

    return start


def failures(daemon, reason: str) -> float:
    return value(daemon, "tollgate_proxy_header_failures_total", reason=reason)


def line(address: str) -> bytes:
    return f"PROXY TCP4 {address} 192.0.2.1 56324 443\r\n".encode()


def numbers(address: str, *rest: bytes) -> bytes:
    block = socket.inet_aton(address) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 56324, 443) + b"".join(rest)
    return SIGNATURE + b"\x21\x11" + struct.pack("!H", len(block)) + block


# MARK: Proxies that there are


@pytest.mark.parametrize("sender", [*OPTIONS, "nginx"])
def test_the_client_is_who_the_proxy_says(proxied, relay, upstream, key, sender):
    daemon = proxied(upstream)
    port = relay(sender, daemon.port)
    for source in (CALLER, OTHER):
        with Connection(port, source=source) as connection:
            # The proxy passes on whatever its client says of itself.
            claims = {"X-API-Key": key, "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
            for _ in range(2):
                assert connection.request("GET", "/files/x", claims).status == 200
                assert upstream.last.get("X-Forwarded-For") == source
                assert upstream.last.get("X-Forwarded-Proto") == "http"
    assert sorted(line["client"] for line in daemon.lines(4)) == sorted([CALLER, CALLER, OTHER, OTHER])
    assert b"203.0.113.9" not in upstream.received


@pytest.mark.parametrize("sender", ["haproxy 1", "haproxy 2", "nginx"])
def test_limits_count_by_it(proxied, relay, upstream, sender):
    daemon = proxied(upstream, policies=[{"name": "address", "per": "address", "limit": "2/1h"}])
    port = relay(sender, daemon.port)
    for source in (CALLER, OTHER):
        with Connection(port, source=source) as connection:
            assert [connection.request("GET", "/files/x").status for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("sender", ["haproxy 2", "nginx"])
def test_streams_and_websockets_pass(proxied, relay, upstream, key, sender):
    upstream.behaviour = lambda *_: EVENTS + b"6\r\ndata1\n\r\n0\r\n\r\n"
    port = relay(sender, proxied(upstream).port)
    with Connection(port, source=CALLER) as connection:
        connection.send(request_bytes("GET", "/files/s", {"X-API-Key": key, "Accept": "text/event-stream"}))
        assert connection.head().status == 200 and connection.chunk() == b"data1\n" and connection.chunk() == b""
    handler = Handler()
    port = relay(sender, proxied(handler.url).port)
    url = f"ws://127.0.0.1:{port}/files/socket"
    with connect(url, additional_headers={"X-API-Key": key}, proxy=None) as client:
        client.send("through two")
        assert client.recv(30) == "through two"
    handler.close()


def test_an_upload_passes_whole(proxied, relay, upstream, key):
    upstream.behaviour = lambda request, _: reply(b"%d" % len(request.body))
    port = relay("haproxy 2", proxied(upstream).port)
    body = os.urandom(1 << 20)
    with Connection(port, source=CALLER) as connection:
        assert connection.request("POST", "/files/x", {"X-API-Key": key}, body).body == b"%d" % len(body)
    assert upstream.last.body == body


@pytest.mark.parametrize("sender", ["haproxy 1", "haproxy 2"])
def test_a_proxy_may_look_whether_it_is_well(proxied, relay, upstream, sender):
    """Its checks come from itself: by LOCAL, or by a line with its own address."""
    daemon = proxied(upstream)
    checks = "option httpchk\n    http-check send meth GET uri /health ver HTTP/1.1 hdr Host tollgate.test"
    port = relay(sender, daemon.port, "check check-send-proxy inter 100ms fall 1 rise 1", checks)
    checked = [line for line in daemon.lines(3) if line["path"] == "/health"]
    assert {(line["client"], line["status"]) for line in checked} == {("127.0.0.1", 200)}
    with Connection(port, source=CALLER) as connection:
        assert connection.request("GET", "/health").status == 200
    assert failures(daemon, "malformed") == failures(daemon, "missing") == 0
    # They name nobody, and nobody is to be told to have them do.
    if sender == "haproxy 2":
        assert "a trusted proxy names no client" not in daemon.stderr.read_text()


# MARK: TLS


@pytest.fixture
def pair(folder):
    return Authority(folder / "authority").issue("server", "api.example.com", "localhost")


def context(pair) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair.certificate.with_name("ca.crt")))


def secured(port: int, pair, source: str = CALLER) -> Connection:
    connection = Connection(port, source=source)
    connection.socket = context(pair).wrap_socket(connection.socket, server_hostname="api.example.com")
    return connection


@pytest.mark.parametrize("sender", [*OPTIONS, "nginx"])
def test_tls_comes_behind_it(proxied, relay, upstream, key, pair, sender):
    daemon = proxied(upstream, tls=pair.settings())
    with secured(relay(sender, daemon.port), pair) as connection:
        for _ in range(2):
            claims = {"X-API-Key": key, "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
            assert connection.request("GET", "/files/x", claims).status == 200
            assert upstream.last.get("X-Forwarded-For") == CALLER
            assert upstream.last.get("X-Forwarded-Proto") == "https"


@pytest.mark.parametrize("header", [line(CALLER), numbers(CALLER, b"\x04\0\x01x")], ids=["1", "2"])
@pytest.mark.parametrize("cut", [0, 1, 20])
def test_both_may_come_at_once(proxied, upstream, pair, header, cut):
    """A proxy writes the header and what its client has sent already in one go; a network may cut it anywhere."""
    daemon = proxied(upstream, tls=pair.settings())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(pair).wrap_bio(incoming, outgoing, server_hostname="api.example.com")
    with Connection(daemon.port) as connection:

        def exchange(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    connection.send(outgoing.read())
                    incoming.write(connection.socket.recv(65536))

        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        first = header + outgoing.read()
        connection.send(first[:cut])
        connection.send(first[cut:])
        exchange(tls.do_handshake)
        tls.write(request_bytes("GET", "/health"))
        connection.send(outgoing.read())
        assert exchange(lambda: tls.read(65536)).startswith(b"HTTP/1.1 200 ")
    assert upstream.last.get("X-Forwarded-For") == CALLER


def test_a_header_that_fails_is_no_handshake_that_does(proxied, upstream, pair):
    daemon = proxied(upstream, tls=pair.settings(), limits={"header_timeout": "1s"})
    for sent in (b"\x16\x03\x01\x02\0\x01", b"PROXY"):
        with Connection(daemon.port) as connection:
            connection.send(sent)
            assert connection.at_end()
    assert (failures(daemon, "missing"), failures(daemon, "timeout")) == (1, 1)
    assert by(daemon, "tollgate_tls_handshake_failures_total", "reason").keys() == set()
    with Connection(daemon.port) as connection:
        connection.send(line(CALLER))
        assert connection.at_end()
    assert by(daemon, "tollgate_tls_handshake_failures_total", "reason") == {"timeout": 1}
    with Connection(daemon.port) as connection:
        connection.send(line(CALLER) + request_bytes("GET", "/health"))
        connection.at_end()
    assert failures(daemon, "missing") == 1


def test_the_relay_that_ships(proxied, upstream, key, pair, folder):
    daemon = proxied(upstream, tls=pair.settings())
    http, https, file = free_port(), free_port(), folder / "haproxy.cfg"
    text = (ROOT / "deploy/front/haproxy-relay.cfg").read_text()
    for place, other in (("bind :80\n", f"bind :{http}\n"), ("bind :443\n", f"bind :{https}\n"), ("1:8443 ", f"1:{daemon.port} ")):
        assert text.count(place) == 1
        text = text.replace(place, other)
    file.write_text(text)
    checked = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")
    process = subprocess.Popen(["haproxy", "-f", file], stdin=subprocess.DEVNULL)
    try:
        until(lambda: accepts(http) and accepts(https), "HAProxy listening")
        with secured(https, pair) as connection:
            claims = {"X-API-Key": key, "X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}
            assert connection.request("GET", "/files/x", claims).status == 200
        assert upstream.last.get("X-Forwarded-For") == CALLER and b"203.0.113.9" not in upstream.received
        plain = ask(http, "POST", "/files/x", fields={"Host": "api.example.com"}, body=b"")
        assert (plain.status, plain["Location"]) == (308, "https://api.example.com/files/x")
    finally:
        process.terminate()
        process.wait(30)


# MARK: Who is believed


def test_nobody_else_may_say_it(proxied, upstream):
    daemon = proxied(upstream, trusted_proxies=["127.0.0.9"])
    for _ in range(3):
        with Connection(daemon.port) as connection:
            with contextlib.suppress(OSError):
                connection.send(line(CALLER) + request_bytes("GET", "/health"))
            assert connection.at_end()
    assert failures(daemon, "untrusted") == 3
    said = "connections of strangers where a proxy is due, closing them"
    assert daemon.times_said(f'error {said} error="127.0.0.1 is none of trusted_proxies"') == 1, daemon.said()
    with Connection(daemon.port, source="127.0.0.9") as connection:
        connection.send(line(CALLER))
        assert connection.request("GET", "/health").status == 200
    daemon.reload(trusted_proxies=["127.0.0.1"])
    with Connection(daemon.port) as connection:
        connection.send(line(CALLER))
        assert connection.request("GET", "/health").status == 200


def test_a_field_is_believed_only_from_whom_the_header_names(proxied, upstream):
    daemon = proxied(upstream, trusted_proxies=["127.0.0.1", "192.0.2.0/24"])
    claim = {"X-Forwarded-For": "203.0.113.9"}
    for header, expected in [
        (line("198.51.100.7"), "198.51.100.7"),
        (line("192.0.2.7"), "203.0.113.9, 192.0.2.7"),
        (numbers("198.51.100.7"), "198.51.100.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
        # The proxy itself; and somebody whom it doesn't name.
        (LOCAL, "203.0.113.9, 127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (SIGNATURE + b"\x21\x31\0\xd8" + bytes(216), "127.0.0.1"),
    ]:
        with Connection(daemon.port) as connection:
            connection.send(header)
            assert connection.request("GET", "/health", claim).status == 200
            assert upstream.last.get("X-Forwarded-For") == expected, header


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (request_bytes("GET", "/health"), "missing"),
        (b"\x16\x03\x01\x02\0\x01", "missing"),
        (line("127.0.0.07") + request_bytes("GET", "/health"), "malformed"),
        (b"PROXY " + b"x" * 200, "malformed"),
        (SIGNATURE + b"\x21\x11\xff\xff", "malformed"),
        (numbers(CALLER, b"\x03\0\4\0\0\0\0") + request_bytes("GET", "/health"), "checksum"),
    ],
)
def test_without_one_that_holds_the_connection_ends(proxied, upstream, sent, reason):
    daemon = proxied(upstream)
    with Connection(daemon.port) as connection:
        connection.send(sent)
        assert connection.at_end()
    assert failures(daemon, reason) == 1
    assert not upstream.requests and daemon.lines() == []


def test_it_is_due_in_time(proxied, upstream):
    daemon = proxied(upstream, limits={"header_timeout": "3s"})
    with Connection(daemon.port) as silent, Connection(daemon.port) as slow, Connection(daemon.port) as half:
        slow.send(line(CALLER)[:-1])
        half.send(line(CALLER) + b"GET /health HTTP/1.1\r\n")
        assert silent.at_end() and slow.at_end()
        assert half.response().status == 408
    assert failures(daemon, "timeout") == 2


def test_whoever_connects_and_leaves_is_no_failure(proxied, upstream):
    daemon = proxied(upstream)
    for _ in range(3):
        Connection(daemon.port).close()
        with socket.create_connection(("127.0.0.1", daemon.port)) as reset:
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with Connection(daemon.port) as half:
        half.send(b"PROXY TCP4")
        half.socket.shutdown(socket.SHUT_WR)
        assert half.at_end()
    reasons = ("untrusted", "missing", "malformed", "checksum", "timeout")
    assert [failures(daemon, reason) for reason in reasons] == [0, 0, 1, 0, 0]


def test_a_reload_changes_how_connections_begin(launch, upstream):
    """On the socket that is open: what is connected stays, what comes is held to what is in force."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    daemon = launch(upstream, listen=address, **TRUSTED)
    with Connection(port) as kept:
        assert kept.request("GET", "/health").status == 200
        daemon.reload(listen={"address": address, "proxy_protocol": True})
        assert kept.request("GET", "/health").status == 200
        with Connection(port) as bare:
            bare.send(request_bytes("GET", "/health"))
            assert bare.at_end()
        assert failures(daemon, "missing") == 1
        with Connection(port) as named, Connection(port) as untrusted:
            named.send(line(CALLER) + request_bytes("GET", "/health"))
            assert named.response().status == 200
            # Accepted while it was trusted, and heard when it is no longer.
            daemon.reload(trusted_proxies=["192.0.2.1"])
            untrusted.send(line(CALLER) + request_bytes("GET", "/health"))
            assert untrusted.at_end()
        assert failures(daemon, "untrusted") == 1
    daemon.reload(listen=address)
    assert ask(port, "GET", "/health").status == 200


def test_a_drain_waits_for_none(proxied, upstream):
    daemon = proxied(upstream, limits={"header_timeout": "60s"})
    with Connection(daemon.port) as silent:
        # Taken, since one that came later was.
        with Connection(daemon.port) as other, Connection(daemon.port) as another:
            for connection in (other, another):
                connection.send(LOCAL)
                assert connection.request("GET", "/health").status == 200
        daemon.terminate()
        assert silent.at_end()
        assert daemon.wait() == 0


def test_a_socket_of_the_machine(proxied, upstream, folder):
    """Whoever may open its path is believed, if trusted_proxies says so."""
    path = str(folder / "socket")
    daemon = proxied(upstream, f"unix:{path}", trusted_proxies=["unix"])
    with Connection(path) as connection:
        connection.send(numbers(CALLER))
        assert connection.request("GET", "/health", {"X-Forwarded-For": "203.0.113.9"}).status == 200
        assert upstream.last.get("X-Forwarded-For") == CALLER
    daemon.settings["trusted_proxies"] = ["127.0.0.1"]
    daemon.write()
    daemon.is_refused("trusted_proxies that connect here")


# MARK: Shares


@pytest.mark.parametrize("sender", ["haproxy 1", "nginx"])
def test_a_greedy_client_behind_a_proxy_leaves_the_others_theirs(proxied, relay, upstream, sender):
    daemon = proxied(upstream, limits={"connections": 16, "connections_per_address": 4})
    port = relay(sender, daemon.port)
    with contextlib.ExitStack() as open_ones:
        greedy = [open_ones.enter_context(Connection(port, source=CALLER)) for _ in range(4)]
        assert [connection.request("GET", "/health").status for connection in greedy] == [200] * 4
        for _ in range(20):
            with Connection(port, source=CALLER) as connection:
                assert connection.response().status == 503
        others = [open_ones.enter_context(Connection(port, source=f"127.0.0.{20 + place}")) for place in range(8)]
        assert [connection.request("GET", "/health").status for connection in others] == [200] * 8
        assert [connection.request("GET", "/health").status for connection in greedy] == [200] * 4
        greedy.pop().close()

        def is_served() -> bool:
            with Connection(port, source=CALLER) as connection:
                return connection.request("GET", "/health").status == 200

        until(is_served, "room for one")
    lines = [line for line in daemon.lines(32) if line["status"] == 503]
    assert {(line["client"], line["reason"]) for line in lines} == {(CALLER, "connection_share")}


def test_those_that_say_nothing_are_bounded_too(proxied, upstream):
    daemon = proxied(upstream, limits={"connections": 8, "header_timeout": "60s"}, loops=1)
    with contextlib.ExitStack() as open_ones:
        # 32 may wait beyond the bound, for nobody knows whose they are.
        for _ in range(8 + 32):
            open_ones.enter_context(Connection(daemon.port))
        with Connection(daemon.port) as late:
            assert late.response().status == 503
    until(lambda: value(daemon, "tollgate_connections") == 0, "all of them being gone")
    assert ask_by(daemon, CALLER) == 200


def ask_by(daemon, client: str) -> int:
    with Connection(daemon.port) as connection:
        connection.send(line(client))
        return connection.request("GET", "/health").status
