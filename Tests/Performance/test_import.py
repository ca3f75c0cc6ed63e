# SPDX-License-Identifier: Apache-2.0
"""What the gauge of imports makes of its figures. The measuring itself is a stage of Tests/run --long."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from comparison.programs import program

FILE = Path(__file__).resolve().parent / "import"


@pytest.fixture(scope="module")
def gauge():
    return program("import")


@pytest.mark.parametrize(
    ("importing", "memory", "listing", "list_memory", "passed"),
    [
        (6.0, 256, 3.0, 256, True),
        (6.1, 60, 1.0, 60, False),
        (3.0, 257, 1.0, 60, False),
        (3.0, 60, 3.1, 60, False),
        (3.0, 60, 1.0, 257, False),
    ],
)
def test_an_import_is_fast_and_a_list_too(gauge, importing, memory, listing, list_memory, passed):
    figures = gauge.Figures(100_000, gauge.Run(importing, memory), gauge.Run(2.0), gauge.Run(listing, list_memory))
    text = (
        f"key import: 100000 keys in {importing:.1f} s, at most {memory} MiB\n"
        f"redis-cli --pipe with the same commands: 2.0 s; {2 / importing:.2f} of its speed\n"
        f"key list: {listing:.1f} s, at most {list_memory} MiB"
    )
    assert figures.verdict() == (passed, text)


def test_keys_are_those_of_several_organizations(gauge, tmp_path):
    gauge.write(tmp_path / "keys", 11)
    keys = [json.loads(line) for line in (tmp_path / "keys").read_text().splitlines()]
    assert [key["organization_id"] for key in keys] == ["org-0"] * 5 + ["org-1"] * 5 + ["org-2"]
    assert len({key["key_hash"] for key in keys}) == 11 and all(len(key["key_hash"]) == 64 for key in keys)


def test_a_run_that_fails_is_no_figure(gauge, capsys):
    assert gauge.run("true").memory > 0
    with pytest.raises(SystemExit) as ended:
        gauge.run("sh", "-c", "echo no memory >&2; exit 3")
    assert (ended.value.code, capsys.readouterr().err) == (1, "import: sh: no memory\n\n")


def test_what_is_sent_is_recorded_from_the_first_script_on(gauge, tmp_path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "server"))
    server.listen()
    recorder = gauge.Recorder(tmp_path / "server", tmp_path / "relay", tmp_path / "commands")
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(tmp_path / "relay"))
    asked, _ = server.accept()
    script = gauge.FIRST_SCRIPT + b"$4\r\nLOAD\r\n$1\r\n1\r\n"
    for octets in (b"*1\r\n$4\r\nPING\r\n", b"*1\r\n$4\r\nINFO\r\n" + script, b"*1\r\n$4\r\nPING\r\n"):
        client.sendall(octets)
        heard = b""
        while len(heard) < len(octets):
            heard += asked.recv(4096)
        assert heard == octets
        asked.sendall(b"+OK\r\n")
        assert client.recv(5) == b"+OK\r\n"
    client.close()
    recorder.end()
    assert (tmp_path / "commands").read_bytes() == script + b"*1\r\n$4\r\nPING\r\n"


@pytest.mark.parametrize("arguments", [["--fast"], ["--keys"], ["--keys", "many"], ["--keys", "0"]])
def test_wrong_words_are_64(arguments):
    done = subprocess.run([sys.executable, FILE, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/import [--help] [--keys COUNT]\n"
