# SPDX-License-Identifier: Apache-2.0
"""Every command that a document shows is run, with the built programs and a real Redis, and prints what it says.

TOLLGATE_RENEW_DOCUMENTS=1 writes into a document that differs what was printed; read the change before you commit it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.document import Reader, Shell, renewed, steps, without_varying
from fixtures.programs import ROOT, built

DOCUMENTS = ["README.md", "docs/API_KEY_GENERATION.md", "docs/headers.md", "docs/mcp.md", "docs/rate-limits.md", "docs/usage.md"]

SSH = """\
Host vps
    HostName 127.0.0.1
    Port 2222
    User ops
    IdentityFile {folder}/client
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    StrictHostKeyChecking accept-new
    LogLevel ERROR
"""


@pytest.fixture
def shell(folder):
    """As a reader has it: the programs in PATH, Redis on 6379, the demo handler on 8081, a server that ssh calls vps."""
    (folder / "bin").mkdir()
    for name in ("tollgate", "tollgatectl"):
        (folder / "bin" / name).symlink_to(built(name))
    ssh = folder / "bin/ssh"
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config "$@"\n')
    ssh.chmod(0o755)
    (folder / "ssh_config").write_text(SSH.format(folder=folder))
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "work").mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TOLLGATE_")}
    shell = Shell(
        folder / "work",
        {**inherited, "PATH": f"{folder}/bin:{os.environ['PATH']}", "NO_COLOR": "1", "FOLDER": str(folder), "ROOT": str(ROOT)},
    )
    server = Path(__file__).parent / "fixtures/ssh_server.py"
    shell.run(f'redis-server --port 6379 --save "" --dir {folder} >{folder}/redis.log &')
    shell.run(f"{sys.executable} {ROOT}/deploy/demo/handler.py --port 8081 >{folder}/handler.log 2>&1 & HANDLER=$!")
    shell.run(f"{sys.executable} {server} 2222 {folder}/host {folder}/client >{folder}/ssh.log 2>&1 &")
    for port in (6379, 8081, 2222):
        shell.run(f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done")
    yield shell
    shell.close()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_tells_the_truth(shell, document):
    text = (ROOT / document).read_text()
    assert sum(expected is not None for _, expected in steps(text)) >= 2
    reader = Reader(shell)
    wrong = reader.follow(text)
    if wrong and "TOLLGATE_RENEW_DOCUMENTS" in os.environ:
        (ROOT / document).write_text(renewed(text, reader.outputs))
    assert not wrong, "\n".join(wrong)


def test_every_console_block_of_every_document_is_run():
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if "```console" in file.read_text():
            assert str(file.relative_to(ROOT)) in DOCUMENTS


def test_the_reader_sees_what_differs(folder):
    """What the others rest on: a wrong word is noticed, an example is tied to the real thing."""
    shell = Shell(folder, dict(os.environ))
    text = (
        "```console\n$ echo one\none\n$ echo two\nthree\n```\n"
        "<!-- run: KEY=mcp_$(printf 'r%.0s' {1..43}) -->\n"
        f"```console\n$ echo $KEY\nmcp_{'e' * 43}\n$ echo is mcp_{'e' * 43}\nis mcp_{'e' * 43}\n```\n"
    )
    reader = Reader(shell)
    wrong = reader.follow(text)
    shell.close()
    assert wrong == ["$ echo two\n--- the document says\nthree\n--- it printed\ntwo\n"]
    assert reader.real == {"mcp_" + "e" * 43: "mcp_" + "r" * 43}
    assert without_varying("at 2026-01-02T03:04:05Z by web-1-4711-1d3d   x") == "at TIME by SIDECAR  x"
