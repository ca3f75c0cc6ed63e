# SPDX-License-Identifier: Apache-2.0
"""The comparison runs, proves that both do the same job, and prints all its figures. What they are is nobody's test."""

import re
import subprocess
import sys
from pathlib import Path

COMPARE = Path(__file__).resolve().parent / "compare"

FIGURES = [
    "CPU a request, µs",
    "  of it user",
    "  of it system",
    "Redis CPU a request, µs",
    "requests a second, 32 connections",
    "p50, 1 connection, µs",
    "p99, 1 connection, µs",
    "p50, 32 connections, µs",
    "p99, 32 connections, µs",
    "p95, 100 connections, µs",
    "resident memory, MiB",
]


def test_it_proves_measures_and_prints():
    done = subprocess.run([sys.executable, COMPARE, "--quick"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("a tollgate", "b nginx+Lua"):
        assert f"  {name}: 401 without a key and with a wrong one, 5 calls counted down, then 429\n" in done.stdout
    rows = {line[:35].rstrip(): line[35:].split() for line in done.stdout.splitlines() if line[:35].rstrip() in FIGURES}
    assert list(rows) == [title.rstrip() for title in FIGURES]
    number = re.compile(r"\d+(\.\d+)?")
    for title, values in rows.items():
        assert len(values) == 6, (title, values)
        shown = values[:2] if title.startswith("Redis") else values[:4]
        assert all(number.fullmatch(value) for value in shown), (title, values)
    assert re.search(r"tollgate adds -?\d+\.\d\d ms at p50 on one connection; p95 of 100 connections \d+\.\d ms", done.stdout)


def test_wrong_words_are_64():
    done = subprocess.run([sys.executable, COMPARE, "--fast"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/compare [--quick]\n"
