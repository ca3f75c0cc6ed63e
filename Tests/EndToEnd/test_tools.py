# SPDX-License-Identifier: Apache-2.0
"""Programs that users have: curl, Python's http.client and httpx, and nginx in front, with a bare proxy_pass and as documented."""

import http.client
import re
import subprocess
import threading

import httpx
import pytest
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.upstream import reply
from fixtures.wire import Connection, ask, until
from test_websocket import Handler, MIB
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

WIDE = [{"name": name, "per": name, "limit": "100000/1s"} for name in ("address", "org")]


@pytest.fixture
def wide(launch, upstream):
    return launch(upstream, policies=WIDE)


# curl.


def curl(*arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run(["curl", "-sS", "--noproxy", "", *arguments], input=given, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


def status_and_body(done: subprocess.CompletedProcess) -> tuple[bytes, bytes]:
    """The last head's first line, and the body, of what `curl -i` printed."""
    head, _, body = done.stdout.rpartition(b"\r\n\r\n")
    return head.rpartition(b"\r\n\r\n")[2].split(b"\r\n")[0], body


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_gets_posts_and_puts(wide, upstream, key, version):
    url = f"http://127.0.0.1:{wide.port}/files/x"
    upstream.behaviour = lambda request, _: reply(request.method.encode() + b" " + request.body)
    send = ["-i", version, "-H", f"X-API-Key: {key}"]
    assert status_and_body(curl(*send, url)) == (b"HTTP/1.1 200 OK", b"GET ")
    assert status_and_body(curl(*send, "-d", "a=1&b=2", url)) == (b"HTTP/1.1 200 OK", b"POST a=1&b=2")
    assert status_and_body(curl(*send, "-X", "PUT", "-d", "12345", url)) == (b"HTTP/1.1 200 OK", b"PUT 12345")
    assert status_and_body(curl(*send, "-X", "DELETE", url)) == (b"HTTP/1.1 200 OK", b"DELETE ")
    # Two on one connection, or one after the other: either way both are answered.
    two = curl(version, "-H", f"X-API-Key: {key}", url, f"{url}?2")
    assert two.stdout == b"GET GET "
    assert all(request.version == "1.1" for request in upstream.requests)


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_asks_for_a_head_alone(wide, upstream, key, version):
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n"
    done = curl("-I", version, "-H", f"X-API-Key: {key}", f"http://127.0.0.1:{wide.port}/files/x")
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 123456\r\n" in done.stdout
    assert upstream.last.method == "HEAD"


def test_curl_sends_in_chunks(wide, upstream, key):
    body = bytes(range(256)) * 8192
    upstream.behaviour = lambda request, _: reply(b"%d" % len(request.body))
    url = f"http://127.0.0.1:{wide.port}/files/x"
    send = ["-H", f"X-API-Key: {key}", "-H", "Transfer-Encoding: chunked", "-H", "Expect:"]
    assert curl(*send, "-T", "-", url, given=body).stdout == b"%d" % len(body)
    assert upstream.last.body == body
    assert upstream.last.get("Transfer-Encoding") == "chunked"


def test_curl_may_not_say_two_things_about_its_length(wide, upstream, key):
    url = f"http://127.0.0.1:{wide.port}/files/x"
    done = curl("-i", "-H", f"X-API-Key: {key}", "-T", "-", "-H", "Content-Length: 5", url, given=b"12345")
    assert status_and_body(done)[0] == b"HTTP/1.1 400 Bad Request"
    assert upstream.received == b""


def test_curl_waits_for_100_continue(wide, upstream, key):
    upstream.on_head = lambda request, peer: peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    url = f"http://127.0.0.1:{wide.port}/files/x"
    body = b"x" * MIB
    send = ["-v", "-H", "Expect: 100-continue", "--expect100-timeout", "30", "-T", "-", url]
    done = curl("-H", f"X-API-Key: {key}", *send, given=body)
    assert b"< HTTP/1.1 100 Continue" in done.stderr
    assert upstream.last.body == body
    # Refused, it sends no body at all.
    refused = curl("-i", *send, given=body)
    assert refused.stdout.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in refused.stderr
    assert len(upstream.requests) == 1


def test_curl_sees_early_hints(wide, upstream, key):
    def hint(_, peer):
        peer.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        return reply(b"page")

    upstream.behaviour = hint
    url = f"http://127.0.0.1:{wide.port}/files/x"
    done = curl("-v", "-H", f"X-API-Key: {key}", url)
    assert done.stdout == b"page"
    told = done.stderr.decode()
    assert re.search(r"< HTTP/1.1 103 Early Hints.*< Link: </style.css>; rel=preload.*< HTTP/1.1 200 OK", told, re.DOTALL)
    # HTTP/1.0 has no answers before the answer.
    done = curl("-v", "--http1.0", "-H", f"X-API-Key: {key}", url)
    assert done.stdout == b"page" and b"Early Hints" not in done.stderr


def test_curl_takes_us_for_its_proxy(wide, upstream, key):
    proxy = f"http://127.0.0.1:{wide.port}"
    done = curl("-x", proxy, "-H", f"X-API-Key: {key}", "http://shop.example:8443/files/a?b=c")
    assert done.stdout
    got = upstream.last
    # What goes on is the path alone.
    assert (got.method, got.target, got.get("Host")) == ("GET", "/files/a?b=c", "shop.example:8443")
    assert got.get("X-Forwarded-Host") == "shop.example:8443"
    # We are none: the name in the target leads nowhere else, and no tunnel is opened.
    assert curl("-x", proxy, "-o", "/dev/null", "-w", "%{http_code}", "http://shop.example/nowhere").stdout == b"404"
    refused = subprocess.run(
        ["curl", "-sS", "-v", "-x", proxy, "-p", "http://shop.example/"], capture_output=True, timeout=60
    )
    assert refused.returncode == 56 and b"405" in refused.stderr


def test_curl_asks_about_the_server(launch, upstream, key):
    daemon = launch(upstream, routes=None)
    ask_about = ["-i", "-X", "OPTIONS", "--request-target", "*", f"http://127.0.0.1:{daemon.port}/"]
    assert status_and_body(curl(*ask_about))[0] == b"HTTP/1.1 401 Unauthorized"
    assert status_and_body(curl("-H", f"X-API-Key: {key}", *ask_about))[0] == b"HTTP/1.1 200 OK"
    assert (upstream.last.method, upstream.last.target) == ("OPTIONS", "*")
    assert len(upstream.requests) == 1


def test_options_asterisk_is_nobodys_route(tollgate, upstream, key):
    answer = ask(tollgate.port, "OPTIONS", "*", key)
    assert (answer.status, upstream.requests) == (404, [])


def test_curl_gets_ranges_and_codings_as_the_handler_sends_them(wide, upstream, key):
    def part(request, _):
        assert request.get("Range") == "bytes=2-4" and request.get("Accept-Encoding") is not None
        return reply(b"cde", "206 Partial Content", {"Content-Range": "bytes 2-4/8", "Content-Encoding": "identity"})

    upstream.behaviour = part
    url = f"http://127.0.0.1:{wide.port}/files/x"
    done = curl("-i", "--compressed", "-r", "2-4", "-H", f"X-API-Key: {key}", url)
    assert status_and_body(done) == (b"HTTP/1.1 206 Partial Content", b"cde")


def test_curl_notices_what_breaks_off(wide, upstream, key):
    upstream.behaviour = lambda _, peer: peer.sendall(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    )
    broken = subprocess.run(
        ["curl", "-sS", "-H", f"X-API-Key: {key}", f"http://127.0.0.1:{wide.port}/files/x"],
        capture_output=True,
        timeout=60,
    )
    assert (broken.returncode, broken.stdout) == (18, b"half")


# Python.


def test_http_client_keeps_its_connection(wide, upstream, key):
    client = http.client.HTTPConnection("127.0.0.1", wide.port, timeout=30)
    upstream.behaviour = lambda request, _: reply(request.method.encode() + b" " + request.body)

    def told(method: str, body=None, **options) -> bytes:
        client.request(method, "/files/x", body, {"X-API-Key": key, **options.pop("headers", {})}, **options)
        first = client.sock
        answer = client.getresponse()
        octets = answer.read()
        assert answer.status == 200 and client.sock is first
        return octets

    assert told("GET") == b"GET "
    assert told("POST", b"a body") == b"POST a body"
    assert told("PUT", iter([b"in", b" chunks"]), encode_chunked=True) == b"PUT in chunks"
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    assert told("HEAD") == b""
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-End: 1\r\n\r\n"
    assert told("GET") == b"hi"
    client.request("GET", "/files/x")
    refused = client.getresponse()
    assert (refused.status, refused.getheader("Connection")) == (401, None)
    refused.read()
    upstream.behaviour = lambda *_: reply(b"on and on")
    assert told("GET") == b"on and on"
    client.close()


def test_http_client_of_http_1_0(wide, upstream, key):
    client = http.client.HTTPConnection("127.0.0.1", wide.port, timeout=30)
    client._http_vsn, client._http_vsn_str = 10, "HTTP/1.0"
    upstream.behaviour = lambda *_: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    client.request("GET", "/files/x", headers={"X-API-Key": key})
    answer = client.getresponse()
    assert (answer.status, answer.getheader("Transfer-Encoding"), answer.read()) == (200, None, b"hi")
    client.close()
    # Asked to, the connection is kept where a length says where the answer ends.
    upstream.behaviour = lambda *_: reply(b"well")
    client.request("GET", "/health", headers={"Connection": "keep-alive"})
    answer = client.getresponse()
    assert answer.getheader("Connection") == "keep-alive"
    answer.read()
    client.request("GET", "/health", headers={"Connection": "keep-alive"})
    assert client.getresponse().read() == b"well"
    client.close()


def test_httpx_streams_both_ways(wide, upstream, key):
    pieces = [b"p%d" % number * 1000 for number in range(50)]
    upstream.behaviour = lambda request, _: reply(request.body)
    with httpx.Client(base_url=f"http://127.0.0.1:{wide.port}", headers={"X-API-Key": key}, trust_env=False) as client:
        assert client.post("/files/x", content=iter(pieces)).content == b"".join(pieces)
        assert upstream.last.get("Transfer-Encoding") == "chunked"
        with client.stream("POST", "/files/x", content=b"y" * MIB) as answer:
            assert b"".join(answer.iter_bytes()) == b"y" * MIB
        assert client.head("/files/x").status_code == 200
        assert client.options("/files/x").status_code == 200
        assert client.get("/files/x", headers={"X-API-Key": "mcp_" + "x" * 43}).status_code == 401

        def hint(_, peer):
            peer.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            return reply(b"after the hint")

        upstream.behaviour = hint
        assert client.get("/files/x").content == b"after the hint"


def test_many_of_httpx_at_once(wide, upstream, key):
    upstream.behaviour = lambda request, _: reply(request.target.encode())
    failures = []

    def work(client: httpx.Client, worker: int):
        for number in range(50):
            path = f"/files/{worker}/{number}"
            answer = client.get(path)
            if (answer.status_code, answer.text) != (200, path):
                failures.append((path, answer.status_code, answer.text))

    with httpx.Client(base_url=f"http://127.0.0.1:{wide.port}", headers={"X-API-Key": key}, trust_env=False) as client:
        workers = [threading.Thread(target=work, args=(client, number)) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert failures == []
    assert len(upstream.requests) == 400


# nginx in front. Its proxy_pass by default speaks HTTP/1.0, closes each connection and makes Host of the address it is given.

NGINX = """
worker_processes 1;
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
    upstream tollgate {{
        server 127.0.0.1:{tollgate};
        keepalive 8;
    }}
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 0;
        location / {{ proxy_pass http://127.0.0.1:{tollgate}; }}
        location /files/socket {{
            proxy_pass http://127.0.0.1:{tollgate};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
        location /files/documented {{ {documented} }}
    }}
}}
"""


@pytest.fixture
def nginx(folder):
    """Puts nginx in front of a daemon; gives its port."""
    running: list[subprocess.Popen] = []

    def start(daemon) -> int:
        port = free_port()
        file = folder / "nginx.conf"
        shipped = (ROOT / "deploy/front/nginx.conf").read_text()
        documented = re.search(r"location / \{(.*?)\n    \}", shipped, re.DOTALL)[1].replace("$tollgate_connection", '""')
        file.write_text(NGINX.format(folder=folder, port=port, tollgate=daemon.port, documented=documented))
        process = subprocess.Popen(
            ["nginx", "-p", folder, "-c", file, "-e", folder / "nginx.log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running.append(process)

        def listens() -> bool:
            assert process.poll() is None, (folder / "nginx.log").read_text()
            try:
                Connection(port).close()
                return True
            except OSError:
                return False

        until(listens, "nginx listening")
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait(30)


def test_through_nginx_everything_arrives(wide, upstream, key, nginx):
    port = nginx(wide)
    upstream.behaviour = lambda request, _: reply(request.method.encode() + b" " + request.body)
    with Connection(port) as connection:
        assert connection.request("GET", "/files/x?y=%20z", {"X-API-Key": key}).body == b"GET "
        got = upstream.last
        assert (got.version, got.target, got.get("Host")) == ("1.1", "/files/x?y=%20z", f"127.0.0.1:{wide.port}")
        assert got.get("Connection") is None
        assert got.get("X-Forwarded-For") == "127.0.0.1"
        assert got.get("X-Forwarded-Host") == "127.0.0.1:%d" % wide.port
        assert connection.request("POST", "/files/x", {"X-API-Key": key}, b"b" * MIB).body == b"POST " + b"b" * MIB
        connection.send(
            f"PUT /files/x HTTP/1.1\r\nHost: h\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
            "5\r\nhello\r\n0\r\n\r\n".encode()
        )
        assert connection.response().body == b"PUT hello"
        headed = connection.request("HEAD", "/files/x", {"X-API-Key": key})
        assert (headed.status, headed.body) == (200, b"")


def test_through_nginx_as_documented_nobody_chooses_who_they_are(wide, upstream, key, nginx):
    port = nginx(wide)
    claims = {
        "X-API-Key": key,
        "Host": "shop.example",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
    }
    upstream.behaviour = lambda request, _: reply(fields={"Location": f"http://{request.get('Host')}/files/y"})
    with Connection(port) as connection:
        answer = connection.request("GET", "/files/documented", claims)
        assert (answer.status, answer["Location"]) == (200, "http://shop.example/files/y")
        got = upstream.last
        assert got.all("X-Forwarded-For") == ["127.0.0.1, 127.0.0.1"]
        assert (got.get("X-Forwarded-Proto"), got.get("X-Forwarded-Host")) == ("http", "shop.example")
        assert got.get("Host") == "shop.example"
        # A bare proxy_pass passes on what the client claims.
        connection.request("GET", "/files/x", claims)
        assert upstream.last.all("X-Forwarded-For") == ["203.0.113.9, 127.0.0.1"]
    # By two loops, which write their lines as they come to it.
    assert sorted(line["client"] for line in wide.lines(2)) == ["127.0.0.1", "203.0.113.9"]


def test_through_nginx_answers_without_a_length_end_where_they_end(wide, upstream, key, nginx):
    port = nginx(wide)
    body = bytes(range(256)) * 4096

    def chunked(_, peer):
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 50_000):
            piece = body[start : start + 50_000]
            peer.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        return b"0\r\n\r\n"

    upstream.behaviour = chunked
    with Connection(port) as connection:
        for _ in range(3):
            assert connection.request("GET", "/files/x", {"X-API-Key": key}).body == body
    assert len(upstream.requests) == 3


def test_through_nginx_refusals_are_told(launch, upstream, key, nginx):
    daemon = launch(upstream, policies=[{"name": "org", "per": "org", "limit": "2/1h"}])
    port = nginx(daemon)
    with Connection(port) as connection:
        refused = connection.request("GET", "/api/listings")
        assert (refused.status, refused["WWW-Authenticate"]) == (401, 'Bearer realm="tollgate"')
        assert connection.request("GET", "/nothing").status == 404
        assert connection.request("POST", "/api/listings", None, b"x" * 1000).status == 401
        answers = [connection.request("GET", "/api/listings", {"X-API-Key": key}) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2]["Retry-After"] and answers[2].json()["status"] == 429
    assert len(upstream.requests) == 2


def test_through_nginx_requests_that_come_at_once_are_answered_in_order(wide, upstream, key, nginx):
    port = nginx(wide)
    upstream.behaviour = lambda request, _: reply(request.target.encode())
    with Connection(port) as connection:
        head = "GET /files/{} HTTP/1.1\r\nHost: h\r\nX-API-Key: {}\r\n\r\n"
        connection.send("".join(head.format(number, key) for number in range(20)).encode())
        assert [connection.response().body for _ in range(20)] == [b"/files/%d" % number for number in range(20)]


def test_through_nginx_a_websocket_opens(launch, ctl, key, nginx):
    handler = Handler()
    daemon = launch(handler.url)
    port = nginx(daemon)
    url = f"ws://127.0.0.1:{port}/files/socket"
    with connect(url, additional_headers={"X-API-Key": key}, proxy=None, max_size=4 * MIB) as client:
        client.send("through two")
        assert client.recv(timeout=30) == "through two"
        client.send("give")
        assert client.recv(timeout=30) == b"g" * MIB
    with pytest.raises(InvalidStatus) as refused, connect(url, proxy=None):
        pass
    assert refused.value.response.status_code == 401
    handler.close()
