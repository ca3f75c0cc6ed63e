# SPDX-License-Identifier: Apache-2.0
"""What the gauge of Redis makes of its figures. The counting itself is a stage of Tests/run --long."""

import subprocess
import sys
from pathlib import Path

import pytest
from comparison.programs import program

FILE = Path(__file__).resolve().parent / "decisions"


@pytest.fixture(scope="module")
def gauge():
    return program("decisions")


@pytest.mark.parametrize(
    ("kind", "instructions", "passed", "text"),
    [
        ("denied", 50_000, True, "0.500 times those of bbbbbbb, 100000"),
        ("denied", 101_000, True, "1.010 times those of bbbbbbb, 100000"),
        ("denied", 101_001, False, "1.010 times those of bbbbbbb, 100000: at most 1.01 times as many are allowed"),
        ("quota and slots", 303, True, "1.010 times those of aaaaaaa, 300"),
    ],
)
def test_the_last_figure_of_a_kind_counts(gauge, kind, instructions, passed, text):
    figures = gauge.recorded(
        "# text\n\naaaaaaa\t7.0.15\tdenied\t900\naaaaaaa\t7.0.15\tquota and slots\t300\n"
        "bbbbbbb\t7.0.15\tdenied\t100000\nccccccc\t8.0.0\tdenied\t1\n"
    )
    assert gauge.verdict(figures, "7.0.15", kind, instructions) == (passed, text)


@pytest.mark.parametrize("redis, kind", [("8.0.0", "denied"), ("7.0.15", "session")])
def test_an_unknown_server_or_kind_fails(gauge, redis, kind):
    passed, text = gauge.verdict(gauge.recorded("aaaaaaa\t7.0.15\tdenied\t900\n"), redis, kind, 900)
    assert (passed, text.split(":")[0]) == (False, f"no figure of Redis {redis} to compare with")


def test_the_figures_in_force_are_of_every_kind(gauge):
    figures = gauge.recorded(gauge.FIGURES.read_text())
    assert {figure.kind for figure in figures} == {case.kind for case in gauge.CASES}


def test_a_word_of_redis_monitor_is_read_as_it_was_sent(gauge):
    assert gauge.words(rb' "EVALSHA" "\x00\xff\"\\\n" ""') == [b"EVALSHA", b'\x00\xff"\\\n', b""]


def test_wrong_words_are_64():
    done = subprocess.run([sys.executable, FILE, "--fast"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/decisions [--record]\n"
