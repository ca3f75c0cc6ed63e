# SPDX-License-Identifier: Apache-2.0
"""Routes that the handler's OpenAPI document tells: FastAPI's own, one that changes, and what comes before the first."""

import json
import subprocess
from pathlib import Path

import pytest
from fixtures.clients import running_handler
from fixtures.ports import free_port
from fixtures.programs import ROOT, built
from fixtures.upstream import Upstream, echo, reply
from fixtures.wire import ask, until

HERE = Path(__file__).parent
MCP = {"path": "/mcp", "mcp": True}
HEALTH = {"path": "/health", "methods": ["GET"], "public": True, "throttle": False}


@pytest.fixture(scope="module")
def application():
    with running_handler(1, HERE / "fixtures/fastapi_app.py") as port:
        yield int(port)


def document(*paths: str, **members) -> bytes:
    return json.dumps({"openapi": "3.1.0", "paths": {path: {"get": {}} for path in paths}, **members}).encode()


def telling(handler: Upstream, answer: bytes):
    """From now on this is what it says of itself."""
    handler.behaviour = lambda request, _: answer if request.target == "/openapi.json" else echo(request)


def knows(daemon, path: str, key: str, status: int):
    until(lambda: ask(daemon.port, "GET", path, key).status == status, f"{status} for {path}: {daemon.said()}")


def test_what_a_fastapi_application_serves_is_known(launch, application, key):
    daemon = launch(f"http://127.0.0.1:{application}", routes=[{"openapi": "/openapi.json"}, MCP, HEALTH])
    assert ask(daemon.port, "GET", "/api/listings/1", key).json()["title"] == "Harbour view loft"
    body = b'{"title": "Attic", "city": "Faro", "price": 60}'
    made = ask(daemon.port, "POST", "/api/listings", key, fields={"Content-Type": "application/json"}, body=body)
    assert made.status == 201
    wrong = ask(daemon.port, "DELETE", "/api/listings", key)
    assert (wrong.status, wrong["Allow"]) == (405, "GET, HEAD, POST")
    # Each asks for a key; the listed one doesn't.
    assert ask(daemon.port, "GET", "/api/listings/1").status == 401
    assert ask(daemon.port, "GET", "/health").status == 200
    # What neither tells of is closed, the document too.
    for path in ("/openapi.json", "/docs", "/api/unknown", "/api/listings/1/x"):
        assert ask(daemon.port, "GET", path, key).status == 404
    assert ask(daemon.port, "GET", "/mcp/", key).status != 404


def test_until_the_first_document_only_listed_paths_are_served(launch, key):
    port = free_port()
    daemon = launch(
        f"http://127.0.0.1:{port}",
        routes=[{"openapi": f"http://127.0.0.1:{port}/openapi.json"}, MCP, HEALTH],
        ready=False,
    )
    answer = ask(daemon.port, "GET", "/api/a", key)
    assert (answer.status, answer["Retry-After"]) == (503, "1")
    assert answer.json()["detail"] == "Routes not known yet"
    # What is listed goes its way, and finds no handler.
    assert ask(daemon.port, "GET", "/health").status == 502
    ready = ask(daemon.admin, "GET", "/readyz")
    assert (ready.status, ready.json()) == (
        503,
        {
            "status": "routes unknown",
            "reason": "no_document",
            "detail": "The document of openapi in routes was not read yet. The log says why.",
        },
    )
    until(lambda: "routes can't be read" in daemon.said(), "why")
    handler = Upstream(port=port)
    try:
        telling(handler, reply(b"{", "500 Oops"))
        until(lambda: "the answer is 500" in daemon.said(), "another reason")
        telling(handler, reply(document("/api/a", servers=[{"url": "/"}])))
        daemon.wait_until_ready()
        knows(daemon, "/api/a", key, 200)
        assert ask(daemon.port, "GET", "/api/b", key).status == 404
        assert ask(daemon.port, "GET", "/health").status == 200
        asked = next(one for one in handler.requests if one.target == "/openapi.json")
        assert (asked.method, asked.get("host")) == ("GET", f"127.0.0.1:{port}")
        assert asked.get("x-api-key") is None
    finally:
        handler.close()


def test_another_document_is_another_table_and_a_bad_one_changes_nothing(launch, upstream, key):
    telling(upstream, reply(document("/a", "/admin/users"), fields={"ETag": '"1"'}))
    policy = {"name": "address", "per": "address", "limit": "10000/1s"}
    daemon = launch(
        upstream,
        routes=[{"openapi": "/openapi.json"}, {"path": "/admin/{rest*}", "scopes": ["admin"]}],
        policies=[policy],
        within=[ROOT / "Tests/at", "--speed", "20"],
    )
    assert [ask(daemon.port, "GET", path, key).status for path in ("/a", "/b")] == [200, 404]
    # No document takes a path from what is listed.
    assert ask(daemon.port, "GET", "/admin/users", key).status == 403
    telling(upstream, reply(document("/b")))
    knows(daemon, "/b", key, 200)
    assert ask(daemon.port, "GET", "/a", key).status == 404
    assert next(one for one in upstream.requests[1:] if one.get("if-none-match")).get("if-none-match") == '"1"'
    for wrong, words in ((b"<html>", "the document is no JSON"), (b"{}", "none of OpenAPI 3")):
        telling(upstream, reply(wrong))
        until(lambda: words in daemon.said(), words)
        assert ask(daemon.port, "GET", "/b", key).status == 200
        assert ask(daemon.admin, "GET", "/readyz").status == 200
    telling(upstream, reply(document("/b", "/c")))
    knows(daemon, "/c", key, 200)
    assert "routes are read again" in daemon.said()


def test_a_reload_that_needs_a_document_reads_it_first(launch, upstream, key):
    telling(upstream, reply(b"", "404 Not Found"))
    daemon = launch(upstream, routes=[{"path": "/a"}])
    daemon.settings["routes"] = [{"path": "/a"}, {"openapi": "/openapi.json"}]
    daemon.write()
    daemon.is_refused("openapi", "the answer is 404")
    assert [ask(daemon.port, "GET", path, key).status for path in ("/a", "/b")] == [200, 404]
    telling(upstream, reply(document("/b/{path}")))
    daemon.reload(routes=[{"path": "/a"}, {"openapi": "/openapi.json", "rest": ["path"]}])
    assert [ask(daemon.port, "GET", path, key).status for path in ("/a", "/b/c/d", "/c")] == [200, 200, 404]


def init(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([built("tollgate"), "config", "init", *arguments], capture_output=True, text=True, timeout=60)


def test_a_configuration_is_begun_from_the_document(application, tmp_path):
    url, file = f"http://127.0.0.1:{application}/openapi.json", tmp_path / "tollgate.yaml"
    made = init("--openapi", url, "--mcp", "/mcp", "--out", str(file))
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    text = file.read_text()
    assert f'url: "http://127.0.0.1:{application}"' in text
    assert '  - {path: "/api/listings", methods: [GET, POST]}\n' in text
    assert '  - {path: "/mcp", mcp: true}\n' in text
    assert '  #- {path: "/docs", methods: [GET], public: true}\n' in text
    check = subprocess.run([built("tollgate"), "config", "check", str(file)], capture_output=True, text=True)
    assert check.returncode == 0 and "warning" not in check.stdout, check.stdout + check.stderr
    again = init("--openapi", url, "--out", str(file))
    assert again.returncode == 1 and "nothing is overwritten" in again.stderr
    assert file.read_text() == text
    assert init("--openapi", url, "--mcp", "/mcp").stdout == text
    assert init("--openapi", "ftp://127.0.0.1/x").returncode == 64
    nobody = init("--openapi", f"http://127.0.0.1:{free_port()}/openapi.json")
    assert nobody.returncode == 1 and "nothing can be connected to there" in nobody.stderr


# ---- What is no route ------------------------------------------------------------------------------------------------

#: One route, and two that none can be.
ODD = json.dumps({"openapi": "3.2.0", "paths": {"/a": {"get": {}, "query": {}}, "/b": {"$ref": "#/x"}}}).encode()


def gauge(daemon, name: str) -> str | None:
    page = ask(daemon.admin, "GET", "/metrics", fields={"Host": "127.0.0.1"}).body.decode()
    return next((line.split()[1] for line in page.splitlines() if line.startswith(f"{name} ")), None)


def test_the_sidecar_tells_of_operations_that_are_no_routes(launch, upstream, key):
    telling(upstream, reply(ODD))
    daemon = launch(upstream, routes=[{"openapi": "/openapi.json"}], within=[ROOT / "Tests/at", "--speed", "20"])

    def told() -> dict:
        return ask(daemon.admin, "GET", "/status", fields={"Host": "127.0.0.1"}).json()["openapi"]

    expected = {"url": f"{upstream.url}/openapi.json", "read": True, "routes": 1, "left_out": 2, "error": None}
    assert told() == {"documents": [expected], "error": None}
    assert [gauge(daemon, f"tollgate_openapi_{name}") for name in ("success", "left_out")] == ["1", "2"]
    telling(upstream, reply(b"", "500 Oops"))
    until(lambda: gauge(daemon, "tollgate_openapi_success") == "0", "the failed reading")
    # What it told before is known still.
    assert told() == {"documents": [expected | {"error": "the answer is 500"}], "error": None}
    assert gauge(daemon, "tollgate_openapi_left_out") == "2"
    assert ask(daemon.port, "GET", "/a", key).status == 200


def test_without_a_document_there_is_nothing_to_tell(launch, upstream):
    daemon = launch(upstream)
    assert [gauge(daemon, f"tollgate_openapi_{name}") for name in ("success", "left_out")] == [None, None]


def test_a_check_reads_the_documents_when_it_is_told_to(upstream, tmp_path):
    telling(upstream, reply(ODD))
    file, document = tmp_path / "t.yaml", f"{upstream.url}/openapi.json"
    policy = '{name: few, per: key, limit: 1/1m, match: {routes: [/a, /gone]}}'
    file.write_text(f"upstream: {{url: '{upstream.url}'}}\nroutes: [{{openapi: /openapi.json}}]\npolicies: [{policy}]\n")

    def check(*options: str) -> subprocess.CompletedProcess:
        command = [built("tollgate"), "config", "check", *options, str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    plain = check()
    assert (plain.returncode, plain.stderr) == (0, "")
    assert not upstream.requests
    whole = check("--openapi")
    places = [f"{file}: warning: routes: openapi {document}: {what}, so it is no route: list it by hand to serve it"
              for what in ("/b: a path item elsewhere ($ref)", "QUERY /a: a method that routes can't have")]
    gone = f"{file}: warning: policies: few names /gone, which is neither listed nor in a document, so it counts nothing there"
    assert whole.stderr.splitlines() == [*places, gone]
    assert (whole.returncode, whole.stdout.splitlines()[0]) == (0, f"{file}: ok")
    assert any(line.split()[:1] == ["/a"] for line in whole.stdout.splitlines())
    assert check("--openapi", "--strict").returncode == 78
    telling(upstream, reply(b"", "404 Not Found"))
    refused = check("--openapi")
    assert (refused.returncode, refused.stdout) == (78, "")
    assert refused.stderr == f"{file}: routes: openapi {document}: the answer is 404\n"
