# SPDX-License-Identifier: Apache-2.0
"""nginx, HAProxy and Caddy in front with TLS, by the files that ship: streams, addresses, uploads and redirects."""

import contextlib
import json
import os
import re
import ssl
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from fixtures.clients import python, run_client
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.upstream import reply
from fixtures.wire import Connection, accepts, ask, request_bytes, until
from test_websocket import Handler
from websockets.sync.client import connect

FRONT = ROOT / "deploy/front"
NAME = "api.example.com"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#: Another address than that of the proxies, so that one is not taken for the other.
CALLER = "127.0.0.7"
SILENT = "127.0.0.8"
MIB = 1 << 20

#: What Tollgate passes on from a proxy that it trusts, since handlers look into these for who a caller is.
CLAIMS = [
    "forwarded",
    "x-real-ip",
    # Of oauth2-proxy, Envoy, Traefik and others.
    *(
        f"x-forwarded-{name}"
        for name in """access-token by client-cert client-ip context email groups id-token method name path port
            preferred-username prefix protocol query roles root scheme server ssl tls-client-cert tls-client-cert-info uri url
            user""".split()
    ),
    *re.findall(
        r'"([a-z0-9-]+)"',
        re.search(r"static let clients = \[(.*?)\]", (ROOT / "Sources/HTTP1/FieldSway.swift").read_text(), re.DOTALL)[1],
    ),
]

#: Around a file that goes into nginx' `http`.
NGINX = """
error_log {folder}/nginx.log warn;
pid {folder}/nginx.pid;
daemon off;
master_process off;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


@dataclass
class Authority:
    """A certificate of a root of its own, in a folder as the files name it."""

    folder: Path

    def make(self) -> "Authority":
        self.folder.mkdir()
        extensions = self.folder / "extensions"
        extensions.write_text(f"subjectAltName=DNS:{NAME},DNS:localhost,IP:127.0.0.1\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for command in (
            ["req", "-x509", *key, "-keyout", "root.key", "-out", "root.pem", "-days", "2", "-subj", "/CN=root"],
            ["req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", f"/CN={NAME}"],
            ["x509", "-req", "-in", "request.pem", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"]
            + ["-days", "2", "-extfile", extensions.name, "-out", "fullchain.pem"],
        ):
            subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True, timeout=60)
        whole = [(self.folder / name).read_text() for name in ("fullchain.pem", "key.pem")]
        (self.folder / "all.pem").write_text("".join(whole))
        return self

    @property
    def root(self) -> str:
        return str(self.folder / "root.pem")


@dataclass
class Front:
    """A proxy that runs in front of a daemon."""

    name: str
    authority: Authority
    http: int
    https: int

    def connection(self, source: str = CALLER) -> Connection:
        connection = Connection(self.https, source=source)
        context = ssl.create_default_context(cafile=self.authority.root)
        connection.socket = context.wrap_socket(connection.socket, server_hostname=NAME)
        return connection


def placed(name: str, daemon: int, http: int, https: int, authority: Authority, changes: dict[str, str]) -> str:
    """A file as it ships, but for ports, folders and changes, each of which stands there as often as it should."""
    text = (FRONT / name).read_text()
    places = {
        "127.0.0.1:8080": (1, f"127.0.0.1:{daemon}"),
        "/etc/ssl/tollgate": (1 if name == "haproxy.cfg" else 2, str(authority.folder)),
    }
    if name == "nginx.conf":
        places |= {"listen 80;": (1, f"listen {http};"), "listen 443 ": (1, f"listen {https} ")}
    if name == "haproxy.cfg":
        places |= {"bind :80\n": (1, f"bind :{http}\n"), "bind :443 ": (1, f"bind :{https} ")}
    if name == "Caddyfile":
        # It answers to its own name only; the MCP clients come by another.
        places |= {f"{NAME} {{": (1, f"{NAME}, localhost {{")}
    places |= {place: (1, other) for place, other in changes.items()}
    for place, (times, other) in places.items():
        found = [line for line in text.splitlines(keepends=True) if place in line and not line.lstrip().startswith("#")]
        assert sum(line.count(place) for line in found) == times, place
        text = text.replace(place, other)
    return text


def command(name: str, folder: Path, text: str, http: int, https: int) -> list:
    file = folder / name
    if name == "nginx.conf":
        file.write_text(NGINX.format(folder=folder, site=text))
        return ["nginx", "-p", folder, "-c", file, "-e", folder / "nginx.log"]
    if name == "haproxy.cfg":
        file.write_text(text)
        return ["haproxy", "-f", file]
    # Where HTTP and HTTPS are is an option of the whole.
    options = f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {http}\n\thttps_port {https}\n}}\n"
    file.write_text(options + text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", file]


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("front") / "tls").make()


@pytest.fixture(params=["nginx.conf", "haproxy.cfg", "Caddyfile"])
def front(request, folder, authority):
    """Puts the proxy of a file in front of a daemon."""
    running: list[subprocess.Popen] = []

    def start(daemon, changes: dict[str, str] | None = None) -> Front:
        own = daemon.folder / "front"
        own.mkdir()
        http, https = free_port(), free_port()
        text = placed(request.param, daemon.port, http, https, authority, changes or {})
        with (own / "output.log").open("wb") as log:
            process = subprocess.Popen(
                command(request.param, own, text, http, https),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(own), "XDG_DATA_HOME": str(own), "XDG_CONFIG_HOME": str(own)},
            )
        running.append(process)
        until(lambda: process.poll() is not None or (accepts(http) and accepts(https)), f"{request.param} listening")
        assert process.poll() is None, (own / "output.log").read_text()
        return Front(request.param, authority, http, https)

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("line, mode, protocol", [(1, "legacy", "2025-11-25"), (2, "auto", "2026-07-28")])
def test_an_mcp_client_gets_each_event_when_it_is_sent(launch, stepwise, ctl, front, line, mode, protocol):
    url = stepwise(2)
    daemon = launch(url)
    through = front(daemon)
    done = run_client(
        python(line),
        "session.py",
        f"https://localhost:{through.https}/mcp",
        url,
        mode,
        key=ctl.issue()["key"],
        SSL_CERT_FILE=through.authority.root,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    # Each step was released by whoever had seen the one before.
    assert (said["protocol"], said["sum"], said["climbed"]) == (protocol, "42", "climbed 5")
    assert said["seen"] == [1, 2, 3, 4, 5]


def test_nobody_chooses_who_they_are(launch, upstream, key, front):
    daemon = launch(upstream, trusted_proxies=["127.0.0.1"])
    through = front(daemon)
    # nginx takes away names, the others families.
    names = CLAIMS if through.name == "nginx.conf" else [*CLAIMS, "x-forwarded-anything"]
    claims = {
        "X-API-Key": key,
        "Host": NAME,
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        **dict.fromkeys(names, "203.0.113.9"),
    }
    assert len(names) > 40
    with through.connection() as connection:
        assert connection.request("GET", "/files/x?y=%20z", claims).status == 200
    got = upstream.last
    assert (got.target, got.get("Host")) == ("/files/x?y=%20z", NAME)
    assert got.get("X-Forwarded-For") == f"{CALLER}, 127.0.0.1"
    assert (got.get("X-Forwarded-Proto"), got.get("X-Forwarded-Host")) == ("https", NAME)
    assert got.names() & set(names) == set()
    assert b"203.0.113.9" not in upstream.received and b"evil" not in upstream.received
    (line,) = daemon.lines(1)
    assert (line["client"], line["status"]) == (CALLER, 200)


def test_uploads_pass_whole_and_none_without_a_key(launch, upstream, key, front):
    upstream.behaviour = lambda request, _: reply(b"%d" % len(request.body))
    daemon = launch(upstream)
    through = front(daemon)
    body = os.urandom(3 * MIB)
    with through.connection() as connection:
        fields = {"Host": NAME, "X-API-Key": key}
        assert connection.request("POST", "/files/x", fields, body).body == b"%d" % len(body)
        assert upstream.last.body == body
        head = f"PUT /files/x HTTP/1.1\r\nHost: {NAME}\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.send(head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert connection.response().body == b"%d" % len(body)
        assert upstream.last.body == body
    upload = f"POST /files/x HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: "
    # Caddy reads on before it passes an answer, and may close within a long body; the others pass it at the head.
    length, sent = (128 << 10, 128 << 10) if through.name == "Caddyfile" else (len(body), 100)
    with through.connection() as connection:
        connection.send(f"{upload}{length}\r\n\r\n".encode() + body[:sent])
        assert connection.response().status == 401
    if through.name != "Caddyfile":
        with through.connection() as connection:
            connection.send(f"{upload}{17 * MIB}\r\nX-API-Key: {key}\r\n\r\n".encode())
            assert connection.response().status == 413
    assert len(upstream.requests) == 2


def test_redirects_lead_back_to_https(launch, upstream, key, front):
    upstream.behaviour = lambda request, _: reply(
        status="307 Temporary Redirect", fields={"Location": f"http://{request.get('Host')}/files/there"}
    )
    daemon = launch(upstream)
    through = front(daemon)
    with through.connection() as connection:
        answer = connection.request("GET", "/files/here", {"Host": NAME, "X-API-Key": key})
        assert (answer.status, answer["Location"]) == (307, f"https://{NAME}/files/there")
    # Plain HTTP isn't forwarded, and its method is kept.
    plain = ask(through.http, "POST", "/files/here?x=1", fields={"Host": NAME}, body=b"")
    port = re.sub(r":\d+(?=/)", "", plain["Location"])
    assert (plain.status, port) == (308, f"https://{NAME}/files/here?x=1")
    assert len(upstream.requests) == 1


def test_a_websocket_opens(launch, key, front):
    handler = Handler()
    through = front(launch(handler.url))
    context = ssl.create_default_context(cafile=through.authority.root)
    url = f"wss://localhost:{through.https}/files/socket"
    with connect(url, additional_headers={"X-API-Key": key}, proxy=None, ssl=context) as client:
        client.send("through two")
        assert client.recv(30) == "through two"
    handler.close()


@pytest.mark.parametrize("front", ["haproxy.cfg"], indirect=True)
def test_silent_connections_end_and_a_silent_stream_does_not(launch, upstream, key, front):
    ended = threading.Event()

    def stream(_, connection):
        connection.sendall(EVENTS + b"6\r\ndata1\n\r\n")
        assert ended.wait(60)
        return b"6\r\ndata2\n\r\n0\r\n\r\n"

    upstream.behaviour = lambda request, connection: stream(request, connection) if "stream" in request.target else reply()
    daemon = launch(upstream)
    # Long enough for all of them to be there at a time.
    through = front(daemon, {"timeout client 30s": "timeout client 10s"})
    with through.connection() as listening, contextlib.ExitStack() as open_ones:
        listening.send(request_bytes("GET", "/files/stream", {"Host": NAME, "X-API-Key": key, "Accept": "text/event-stream"}))
        assert listening.head().status == 200 and listening.chunk() == b"data1\n"
        silent = [open_ones.enter_context(Connection(through.https, source=SILENT)) for _ in range(201)]
        # One more than may be is closed at once, and another address is served meanwhile.
        until(lambda: sum(one.is_readable() for one in silent) == 1, "one of them being closed", pause=0.01)
        with through.connection() as connection:
            assert connection.request("GET", "/files/x", {"Host": NAME, "X-API-Key": key}).status == 200
        assert not all(one.is_readable() for one in silent)
        # HAProxy ends them without a word.
        until(lambda: all(one.is_readable() for one in silent), "all of them being closed", pause=0.05)
        assert all(one.at_end() for one in silent)
        # The stream was silent for longer than they were.
        ended.set()
        assert listening.chunk() == b"data2\n" and listening.chunk() == b""


@pytest.mark.parametrize("front", ["haproxy.cfg"], indirect=True)
def test_many_addresses_together_shut_nobody_out(launch, upstream, key, front):
    daemon = launch(upstream)
    # Four of five connections are taken where there are more than eight, and two are few. Nobody's time runs out meanwhile.
    changes = {"fe_conn gt 4000": "fe_conn gt 8", "sc0_conn_cur gt 10": "sc0_conn_cur gt 2"}
    through = front(daemon, changes | {"timeout http-request 10s": "timeout http-request 1m"})
    with contextlib.ExitStack() as open_ones:
        # Each is let in before the next one comes: its handshake is answered.
        silent = [open_ones.enter_context(through.connection(f"127.0.1.{place % 2}")) for place in range(8)]
        silent += [open_ones.enter_context(through.connection("127.0.1.9")) for _ in range(2)]
        # One too many each: who has two by now, and who has four.
        for source in ("127.0.1.9", "127.0.1.0"):
            with pytest.raises(OSError):
                through.connection(source)
        with through.connection() as connection:
            assert connection.request("GET", "/files/x", {"Host": NAME, "X-API-Key": key}).status == 200
        for one in silent:
            assert one.request("GET", "/files/x", {"Host": NAME, "X-API-Key": key}).status == 200


def test_cloudflared_leads_to_tollgate_and_tells_who_calls(launch, upstream, key):
    """It doesn't run here: what its file says, and a request as it comes from Cloudflare."""
    settings = yaml.safe_load((FRONT / "cloudflared.yml").read_text())
    ours, everything_else = settings["ingress"]
    shipped = (ROOT / "deploy/tollgate.yaml").read_text()
    assert f"\nlisten: {ours['service'].removeprefix('http://')}\n" in shipped
    idle = re.search(r"^  idle_timeout: (\d+)s", shipped.partition("\nlimits:\n")[2], re.MULTILINE)[1]
    assert int(ours["originRequest"]["keepAliveTimeout"].removesuffix("s")) < int(idle)
    assert everything_else == {"service": "http_status:404"}
    (field,) = re.findall(r"^#   client_address: (\S+)$", (FRONT / "cloudflared.yml").read_text(), re.MULTILINE)
    daemon = launch(upstream, client_address=field)
    fields = {"CF-Connecting-IP": "198.51.100.7", "X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}
    assert ask(daemon.port, "GET", "/files/x", key, fields=fields).status == 200
    (line,) = daemon.lines(1)
    assert line["client"] == "198.51.100.7"


def test_haproxy_and_caddy_find_nothing_wrong(folder, authority):
    checked = folder / "haproxy-check.cfg"
    checked.write_text(placed("haproxy.cfg", 8080, free_port(), free_port(), authority, {}))
    done = subprocess.run(["haproxy", "-c", "-f", checked], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = subprocess.run(["caddy", "fmt", FRONT / "Caddyfile"], capture_output=True, text=True, timeout=60)
    assert done.stdout == (FRONT / "Caddyfile").read_text()
