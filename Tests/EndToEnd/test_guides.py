# SPDX-License-Identifier: Apache-2.0
"""The guides by stack, followed from beginning to end: their files and their commands as they stand there, with the packages
that they name.

TOLLGATE_RENEW_DOCUMENTS=1 writes into a guide that differs what was printed.
"""

import os
import re

import pytest
from fixtures.document import STEP, Shell, check, steps
from fixtures.programs import ROOT, built

GUIDES = ROOT / "docs/guides"
#: Where what a guide installs is installed; nothing, where it needs no package.
ENVIRONMENTS = {
    "fastapi.md": "sdk2",
    "fastmcp.md": "fastmcp-tests",
    "mcp-sdk-1.md": "sdk1",
    "mcp-sdk-2.md": "sdk2",
    "mounted-mcp.md": "sdk2",
    "node.md": None,
}


@pytest.fixture
def shell(folder):
    """As a reader has it: the programs in PATH, and the packages of the guide, Redis on 6379, and nothing else."""
    shells = []

    def start(environment: str | None) -> Shell:
        programs = folder / "bin"
        programs.mkdir()
        for name in ("tollgate", "tollgatectl"):
            (programs / name).symlink_to(built(name))
        packages = [str(ROOT / f".venv-{environment}/bin")] if environment else []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
        path = ":".join([str(programs), *packages, os.environ["PATH"]])
        (folder / "work").mkdir()
        shells.append(Shell(folder / "work", {**inherited, "PATH": path, "NO_COLOR": "1", "FOLDER": str(folder)}))
        shells[0].run(f'redis-server --port 6379 --save "" --dir {folder} >{folder}/redis.log &')
        shells[0].run("until (: </dev/tcp/127.0.0.1/6379) 2>/dev/null; do sleep 0.05; done")
        return shells[0]

    yield start
    for one in shells:
        one.close()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_guide_leads_where_it_says(shell, name):
    check(shell(ENVIRONMENTS[name]), GUIDES / name)


def test_every_guide_is_followed():
    assert {file.name for file in GUIDES.glob("*.md")} == set(ENVIRONMENTS)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_guide_leaves_no_block_to_be_believed(name):
    """Whatever is shown in it is a file that is used, or a command that is run."""
    text = (GUIDES / name).read_text()
    assert text.count("\n```") == 2 * len([block for block in STEP.finditer(text) if block["run"] is None])
    assert len(steps(text)) > 10


def installed(environment: str) -> dict[str, str]:
    """Versions by name."""
    folders = (ROOT / f".venv-{environment}").glob("lib/python3*/site-packages/*.dist-info")
    return dict(folder.name.removesuffix(".dist-info").rsplit("-", 1) for folder in folders)


@pytest.mark.parametrize("name", [name for name, environment in ENVIRONMENTS.items() if environment])
def test_a_guide_names_the_versions_that_it_was_followed_with(name):
    said = re.search(r"^Tested with (.+?)\.(?: |$)", (GUIDES / name).read_text(), re.MULTILINE)[1]
    versions = dict(part.rsplit(" ", 1) for part in said.split(", "))
    have = installed(ENVIRONMENTS[name])
    assert versions == {package: have[package] for package in versions}
