# SPDX-License-Identifier: Apache-2.0
"""The first command of the README, run as a newcomer runs it."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from fixtures.programs import ROOT
from fixtures.wire import ask, until

QUICKSTART = ROOT / "deploy/quickstart"
#: It builds, and where nothing is built yet that takes this long.
PATIENCE = 1500


def processes_in(folder: str) -> list[str]:
    """Command lines of the processes that were started with something in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if folder in line:
                found.append(line)
    return found


def test_once_shows_each_answer_and_leaves_nothing_behind(folder):
    env = {**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1"}
    done = subprocess.run(
        [QUICKSTART, "--once"], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "Harbour view loft" in said
    assert "x-ratelimit-remaining:" in said
    assert re.search(r"mcp_[A-Za-z0-9_-]{43}", said)
    assert [int(status) for status in re.findall(r"^HTTP/1.1 (\d{3})", said, re.MULTILINE)] == [200, 404, 405, 401, 429]
    assert "\x1b[" not in said
    assert list(folder.iterdir()) == []
    assert processes_in(str(folder)) == []
    status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    assert not [line for line in status.stdout.splitlines() if line.startswith("??") and "venv" in line]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_stop(folder, ending):
    env = {**os.environ, "TMPDIR": str(folder), "NO_COLOR": "1"}
    output = folder.parent / f"{folder.name}.out"
    with output.open("w") as stdout:
        process = subprocess.Popen(
            [QUICKSTART], env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: "Ctrl-C" in output.read_text() or process.poll() is not None, "the quickstart up", PATIENCE)
        assert process.poll() is None, output.read_text()
        said = output.read_text()
        key = re.search(r"mcp_[A-Za-z0-9_-]{43}", said)[0]
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", said)[1])
        assert ask(port, "GET", "/api/listings", key).status == 200
        process.send_signal(ending)
        assert process.wait(20) in (0, 128 + ending)
        assert processes_in(str(folder)) == []
        assert list(folder.iterdir()) == []
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        output.unlink()


def test_help_tells_what_it_does():
    done = subprocess.run([QUICKSTART, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    assert done.returncode == 0
    assert "--once" in done.stdout
    wrong = subprocess.run(
        [QUICKSTART, "--twice"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10
    )
    assert wrong.returncode == 64
    assert "--twice" in wrong.stderr
