# SPDX-License-Identifier: Apache-2.0
"""Every server that docs/mcp.md shows is run as it stands there, with the packages of today, behind a sidecar with the routes
that the document gives, and called by the official clients of both lines.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.clients import python, run_client
from fixtures.ports import free_port
from fixtures.programs import ROOT
from fixtures.wire import accepts, until

DOCUMENT = ROOT / "docs/mcp.md"
#: Where the packages of a recipe are installed (`<!-- with: NAME -->` before its block).
ENVIRONMENTS = {"mcp 1.x": "sdk1", "mcp 2.x": "sdk2", "fastmcp": "fastmcp", "fastapi-mcp": "sdk1"}
PORT = "8081"
SHOWN = re.compile(r"<!-- with: (?P<package>[^,>]+), (?P<name>[^>]+) -->\n+```python\n(?P<code>.*?)```", re.DOTALL)


@dataclass
class Recipe:
    package: str
    code: str

    @property
    def interpreter(self) -> Path:
        return ROOT / f".venv-{ENVIRONMENTS[self.package]}-tests/bin/python"


RECIPES = {shown["name"]: Recipe(shown["package"], shown["code"]) for shown in SHOWN.finditer(DOCUMENT.read_text())}


def test_every_server_of_the_document_is_run():
    assert DOCUMENT.read_text().count("```python") == len(RECIPES)
    assert {recipe.package for recipe in RECIPES.values()} == set(ENVIRONMENTS)


@pytest.fixture
def server(folder):
    """Starts a recipe on a port of its own."""
    running = []

    def start(recipe: Recipe) -> int:
        assert recipe.code.count(PORT) == 1
        port = free_port()
        (folder / "server.py").write_text(recipe.code.replace(PORT, str(port)))
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [recipe.interpreter, folder / "server.py"], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        running.append(process)
        until(lambda: accepts(port) or process.poll() is not None, "the server listening", 60)
        assert process.poll() is None, log.read_text()
        return port

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", RECIPES)
def test_a_server_as_it_is_shown_answers_through_the_sidecar(launch, server, key, name):
    recipe = RECIPES[name]
    daemon = launch(f"http://127.0.0.1:{server(recipe)}", routes=[{"path": "/mcp", "mcp": True}])
    for line in (1, 2):
        done = run_client(python(line), "search.py", f"http://127.0.0.1:{daemon.port}/mcp", "http", key=key)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["tools"] == ["search"]
        assert "A flat in Lisbon" in said["found"][0]


def test_the_old_wire_of_a_shown_server(launch, server, key):
    """`transport="sse"`, with the two routes that the document says it takes."""
    shown = RECIPES["SDK 1.x"]
    recipe = Recipe(shown.package, shown.code.replace('"streamable-http"', '"sse"'))
    assert recipe.code != shown.code
    routes = [{"path": "/sse", "mcp": True}, {"path": "/messages", "mcp": True}]
    daemon = launch(f"http://127.0.0.1:{server(recipe)}", routes=routes)
    for line in (1, 2):
        done = run_client(python(line), "search.py", f"http://127.0.0.1:{daemon.port}/sse", "sse", key=key)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tools"] == ["search"]
