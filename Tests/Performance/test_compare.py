# SPDX-License-Identifier: Apache-2.0
"""The comparison runs, proves that all limiters do their job, and prints all its figures. What they are is nobody's test; that
docs/performance.md has no others is."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

FOLDER = Path(__file__).resolve().parent
COMPARE = FOLDER / "compare"
sys.path.insert(0, str(FOLDER))

from comparison import machine  # noqa: E402
from comparison.client import at_rate  # noqa: E402
from comparison.figures import FIGURES, LETTERS, NONE, RATIOS, SECURE_FIGURES, SECURE_LETTERS, Row, Spread  # noqa: E402
from comparison.report import PLACEHOLDER, PLAIN, SECURE, Document, Report, report  # noqa: E402

PROXIES = ["a", "b", "b2", "c", "e"]
#: Who has which figure, where not all have it.
THOSE = {
    "redis": ["a", "b", "b2"], "instructions": ["a"], "refused_cpu": ["a", "b", "b2", "e"], "refused": ["a", "b", "b2", "e"],
    "refused_redis": ["a", "b", "b2"], "anonymous": PROXIES, "connection": PROXIES, "stream": PROXIES, "key": ["a", "b", "b2"],
    "busy_key": ["a", "b", "b2"],
    "ready": PROXIES, "idle_cpu": PROXIES, "idle_calls": PROXIES,
}
PROOFS = {
    "a tollgate": "calls counted down", "b lean nginx+Lua": "calls counted down", "b2 full nginx+Lua": "calls counted down",
    "e HAProxy": "calls allowed",
}


@pytest.fixture
def folder():
    """Where all may read, as nginx' worker must; pytest's own is closed."""
    with tempfile.TemporaryDirectory(prefix="tg") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def left_behind(folder: Path) -> list[str]:
    """Files, and processes that were started with one, or with this folder for theirs."""
    found = [str(file) for file in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if os.fsencode(folder) in line + environment:
            found.append(line.replace(b"\0", b" ").decode())
    return found


def test_it_proves_measures_and_prints(folder):
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, COMPARE, "--quick"], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, told in PROOFS.items():
        assert f"  {name}: 401 without a key and with a wrong one, 5 {told}, then 429\n" in done.stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[0] == ["", *LETTERS, *RATIOS]
    cells = {row[0]: dict(zip(LETTERS, row[1:], strict=False)) for row in rows if row[0] and row[0].strip("-")}
    figures = [figure for figure in FIGURES.values() if figure.name != "instructions"]
    assert list(cells) == [figure.title for figure in figures]
    for figure in figures:
        number = re.compile(r"-?\d+" + rf"\.\d{{{figure.digits}}}" * (figure.digits > 0))
        shown = [letter for letter in LETTERS if number.fullmatch(cells[figure.title][letter])]
        assert shown == [letter for letter in LETTERS if letter in THOSE.get(figure.name, LETTERS)], figure.title
        assert all(cells[figure.title][letter] == NONE for letter in LETTERS if letter not in shown)
    assert left_behind(folder) == []


def test_it_measures_tls(folder):
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, COMPARE, "--tls", "--quick"], capture_output=True, text=True, timeout=300, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("a tollgate", "b lean nginx+Lua", "b2 full nginx+Lua", "c nginx alone"):
        assert f"  {name}: TLSv1.3 with TLS_AES_128_GCM_SHA256, answered with 200\n" in done.stdout
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert rows[0] == ["", *SECURE_LETTERS, "a/b", "a/b2", "a/c"]
    assert [row[0] for row in rows[2:]] == [figure.title for figure in SECURE_FIGURES.values()]
    assert all(re.match(r"-?\d", cell) for row in rows[2:] for cell in row[1:5])
    assert left_behind(folder) == []


def test_nothing_is_left_where_it_is_ended(folder):
    env = {**os.environ, "TMPDIR": str(folder)}
    running = subprocess.Popen([sys.executable, COMPARE, "--quick"], stdout=subprocess.PIPE, text=True, env=env)
    for line in running.stdout:
        if line.startswith("A flood"):
            break
    # A folder, this, Redis, the handler, and four limiters.
    assert len(left_behind(folder)) >= 8
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 143
    assert left_behind(folder) == []


@pytest.mark.parametrize("words", [["--fast"], ["--quick", "--write"], ["--write", "--write"], ["--tls", "--tls"]])
def test_wrong_words_are_64(words):
    done = subprocess.run([sys.executable, COMPARE, *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/compare [--tls] [--quick | --write]\n"


def test_who_may_not_install_is_told_the_command(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as ended:
        machine.install(["bash", "no-such-package"])
    assert ended.value.code == (
        "compare: missing: run `sudo apt-get install -y --no-install-recommends no-such-package`")


def test_what_cannot_be_fetched_is_named(monkeypatch, tmp_path):
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho 'Could not resolve deb.debian.org' >&2\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "POLICY", tmp_path / "policy-rc.d")
    with pytest.raises(SystemExit) as ended:
        machine.install(["no-such-package"])
    assert ended.value.code == (
        "compare: no-such-package: missing, and `apt-get update -qq` failed:\nCould not resolve deb.debian.org\n")
    assert not (tmp_path / "policy-rc.d").exists()


# ---- the fixed rate ----


class Stalling(StreamRequestHandler):
    """Answers, but for half a second after the first fifty calls nobody is."""

    calls, lock = 0, threading.Lock()

    def handle(self):
        while line := self.rfile.readline():
            if line != b"\r\n":
                continue
            with Stalling.lock:
                Stalling.calls += 1
                if Stalling.calls == 50 + 32:
                    time.sleep(0.5)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


class Server(ThreadingTCPServer):
    daemon_threads, request_queue_size = True, 64


def test_calls_that_a_stall_delays_are_late():
    """A client that waits for answers before it asks again would have seen one connection each late, 32 of them."""
    with Server(("127.0.0.1", 0), Stalling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        took = at_rate(server.server_address[1], "key", rate=200, seconds=1)
        server.shutdown()
    assert len(took) == 200
    assert took == sorted(took)
    # 100 calls were due in that time, the last of them at its end.
    assert sum(one > 100_000 for one in took) >= 75
    assert took[-1] >= 490_000


# ---- the file and the page ----


@pytest.fixture(scope="module", params=[PLAIN, SECURE], ids=["plain", "tls"])
def document(request) -> Document:
    return request.param


@pytest.fixture(scope="module")
def written(document) -> Report:
    return Report.parse(document.ratios.read_text())


def test_the_page_is_made_of_the_ratios(document, written):
    assert written.text() == document.ratios.read_text()
    assert written.page(document.template.read_text()) == document.page.read_text()


def test_the_page_has_no_number_of_its_own(document):
    """Besides names: a peer's, a status, and what is exchanged by."""
    found = re.findall(r"[\w.]*\d[\w.]*", PLACEHOLDER.sub("", document.template.read_text()))
    assert {number.strip(".") for number in found} <= {"b2", "429", "X25519", "256"}


def test_all_figures_are_written(document, written):
    assert list(written.rows) == list(document.figures)
    for name, row in written.rows.items():
        those = SECURE_LETTERS if document is SECURE else THOSE.get(name, LETTERS)
        assert list(row.spreads) == [letter for letter in LETTERS if letter in those], name


def test_medians_lie_within_their_spreads(written):
    for name, row in written.rows.items():
        for letter, spread in row.spreads.items():
            assert float(spread.least) <= float(spread.median) <= float(spread.most), (name, letter)


def test_ratios_are_those_of_the_medians(document, written):
    """As near as the medians are written."""
    for name, row in written.rows.items():
        half = 0.5 * 10 ** -document.figures[name].digits
        for ratio in RATIOS:
            over, under = (row.spreads.get(letter) for letter in ratio.split("/"))
            if not over or not under or float(under.median) <= 0 or float(over.median) <= 0:
                assert ratio not in row.ratios
                continue
            over, under, said = float(over.median), float(under.median), float(row.ratios[ratio])
            assert (over - half) / (under + half) - 0.006 <= said, (name, ratio)
            assert under <= half or said <= (over + half) / (under - half) + 0.006, (name, ratio)


def test_a_report_is_what_was_measured():
    figures = {"cpu": {"b": [4.0], "a": [3.0, 1.0, 2.0]}, "idle_calls": {"a": [0.0], "b": [2.0]}}
    made = report({"commit": "1234567", "machine": "2 cores"}, figures)
    assert made.rows["cpu"] == Row({"a": Spread("2.0", "1.0", "3.0"), "b": Spread("4.0", "4.0", "4.0")}, {"a/b": "0.50"})
    assert made.rows["idle_calls"].ratios == {}
    assert made.text() == (
        "commit\t1234567\nmachine\t2 cores\n\nfigure\ta\tb\tb2\tc\te\td\ta/b\ta/b2\ta/c\ta/e\n"
        "cpu\t2.0 1.0 3.0\t4.0 4.0 4.0\t-\t-\t-\t-\t0.50\t-\t-\t-\n"
        "idle_calls\t0.0 0.0 0.0\t2.0 2.0 2.0\t-\t-\t-\t-\t-\t-\t-\t-\n"
    )
    assert Report.parse(made.text()) == made
    assert made.page("Of {commit}: {cpu a}, {cpu a/b}.\n{table cost}\n") == (
        "Of 1234567: 2.0, 0.50.\n"
        "|                   | a                | b   | b2 | c | e | d | a/b  | a/b2 | a/c | a/e |\n"
        "| ----------------- | ---------------- | --- | -- | - | - | - | ---- | ---- | --- | --- |\n"
        "| CPU a request, µs | 2.0 (1.0 to 3.0) | 4.0 | -  | - | - | - | 0.50 | -    | -   | -   |\n"
    )
    with pytest.raises(KeyError):
        made.page("{redis a/b}")
