# SPDX-License-Identifier: Apache-2.0
"""Every command that a document shows is run, with the built programs and a real Redis, and prints what it says.

TOLLGATE_RENEW_DOCUMENTS=1 writes into a document that differs what was printed; read the change before you commit it.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.document import DATED, Calendar, Reader, Shell, TerminalShell, check, seconds, without_varying
from fixtures.programs import ROOT, built
from fixtures.redis_server import not_at_the_end_of

DOCUMENTS = ["README.md", "docs/API_KEY_GENERATION.md", "docs/checking.md", "docs/headers.md", "docs/logs.md", "docs/mcp.md", "docs/operations.md", "docs/rate-limits.md", "docs/reliability.md", "docs/tls.md", "docs/usage.md"]

#: How the questions of each begin that a terminal is asked.
ASKED = {"docs/API_KEY_GENERATION.md": ["Revoke"], "docs/reliability.md": ["Have"]}

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
def at() -> str | None:
    """What the reader's clock stands at, if it isn't now."""
    return None


@pytest.fixture
def kind() -> type[Shell]:
    return Shell


@pytest.fixture
def shell(folder, at, kind):
    """As a reader has it: the programs in PATH, Redis on 6379, the demo handler on 8081, a server that ssh calls vps."""
    not_at_the_end_of(86400, time.time())
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
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        inherited.pop(name, None)
    colours = {"TERM": "xterm-256color"} if kind is TerminalShell else {"NO_COLOR": "1"}
    shell = kind(
        folder / "work",
        {**inherited, **colours, "PATH": f"{folder}/bin:{os.environ['PATH']}", "FOLDER": str(folder), "ROOT": str(ROOT)},
        at,
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
    check(shell, ROOT / document)


@pytest.mark.parametrize("kind", [TerminalShell])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_is_true_at_a_terminal(shell, document):
    """But for colours, progress and questions, which are answered, the same text."""
    check(shell, ROOT / document)
    assert [question.split()[0] for question in shell.asked] == ASKED.get(document, [])


@pytest.mark.parametrize("at", ["2028-02-29T12:00:00Z"])
def test_a_document_is_true_on_any_day(shell, at):
    """One, on one other day; `Tests/run --long` reads all of them on several."""
    assert shell.run("date -u +%F").strip() == at[:10]
    check(shell, ROOT / "docs/API_KEY_GENERATION.md")


def test_every_console_block_of_every_document_is_run():
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        if "```console" in file.read_text():
            assert str(file.relative_to(ROOT)) in DOCUMENTS


def test_every_command_of_the_guide_to_keys_is_run():
    """Two blocks by other words: the daemon, in the background, and the server from zero, by test_package.py."""
    text = (ROOT / "docs/API_KEY_GENERATION.md").read_text()
    others = re.findall(r"(?<!-->\n)^```sh\n(.*?)\n", text, re.MULTILINE)
    assert others == ["tollgate --upstream http://127.0.0.1:8081", "sudo apt-get install redis-server jq"]
    assert f"<!-- run: {others[0]} >" in text


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
    assert without_varying("by web-1-4711-1d3d   x") == "by SIDECAR  x"


def test_at_a_terminal_there_is_one(folder):
    """What the others rest on: it is one to each command, and what is seen there is what would be read without it."""
    shell = TerminalShell(folder, {**os.environ, "TERM": "xterm-256color"})
    commands = {
        "[[ -t 0 && -t 1 && -t 2 ]] && stty size; : >/dev/tty && echo own": "50 500\nown\n",
        r"printf '\e[1mID\e[0m  \e[31mred\e[0m\n'": "ID  red\n",
        r"printf '\r[##  ] 10 %%\e[K\r[####] 20 %%\e[K\r\e[Kdone\n'": "done\n",
        "read -r -p 'Revoke 2 keys? [y/N] ' said; echo \"said $said\"": "said y\n",
    }
    try:
        assert {command: shell.run(command) for command in commands} == commands
        assert shell.asked == ["Revoke 2 keys? [y/N] "]
    finally:
        shell.close()


#: 29 February 2028, half a minute before its end, when reading begins; what is printed comes 40 s later.
LATE = 1_835_481_570
EXAMPLE = "2026-11-23T08:00:00Z Mon, 23 Nov 2026 08:00:01 GMT 1795421400 2026-11-23 2027-02-21"


@pytest.mark.parametrize(
    ("output", "agrees"),
    [
        ("2028-02-29T23:59:31Z Tue, 29 Feb 2028 23:59:31 GMT 1835482171 2028-02-29 2028-05-29", True),
        ("2028-02-29T23:59:31.125Z Wed, 01 Mar 2028 00:00:10 GMT 1835482171 2028-03-01 2028-05-29", True),
        # Half an hour, a quarter of an hour, two days, a month otherwise.
        ("2028-02-29T23:59:31Z Tue, 29 Feb 2028 23:29:31 GMT 1835482171 2028-02-29 2028-05-29", False),
        ("2028-02-29T23:59:31Z Tue, 29 Feb 2028 23:59:31 GMT 1835483071 2028-02-29 2028-05-29", False),
        ("2028-02-29T23:59:31Z Tue, 29 Feb 2028 23:59:31 GMT 1835482171 2028-02-29 2028-05-27", False),
        ("2028-01-29T23:59:31Z Sat, 29 Jan 2028 23:59:31 GMT 1832803771 2028-01-29 2028-04-28", False),
    ],
)
def test_the_reader_compares_what_lies_between_dates(output, agrees):
    clock = iter([LATE, *[LATE + 40] * 5])
    assert (Calendar(lambda: next(clock)).with_examples(EXAMPLE, output) == EXAMPLE) is agrees


def test_within_a_day_days_are_exact():
    noon = LATE - 12 * 3600
    assert [seconds(found) for found in DATED.finditer("1970-01-02 1795421400")] == [86400, 1795421400]
    calendar = Calendar(lambda: noon)
    assert calendar.with_examples("2026-11-23 2027-02-21", "2028-02-29 2028-05-29") == "2026-11-23 2027-02-21"
    assert calendar.with_examples("2027-02-21", "2028-05-30") == "2028-05-30"
