# SPDX-License-Identifier: Apache-2.0
"""What the gauge makes of its figures. The counting itself is a stage of Tests/run --long."""

import subprocess
import sys
from pathlib import Path

import pytest
from comparison.programs import program

FILE = Path(__file__).resolve().parent / "instructions"


@pytest.fixture(scope="module")
def gauge():
    return program("instructions")


@pytest.mark.parametrize(
    ("instructions", "passed", "text"),
    [
        (100_000, True, "0.500 times those of bbbbbbb, 200000"),
        (202_000, True, "1.010 times those of bbbbbbb, 200000"),
        (202_001, False, "1.010 times those of bbbbbbb, 200000: at most 1.01 times as many are allowed"),
        (300_000, False, "1.500 times those of bbbbbbb, 200000: at most 1.01 times as many are allowed"),
    ],
)
def test_the_last_figure_counts(gauge, instructions, passed, text):
    figures = gauge.recorded("# text\n\naaaaaaa\t6.3.1\t900\nbbbbbbb\t6.3.1\t200000\nccccccc\t6.4\t1\n")
    assert gauge.verdict(figures, "6.3.1", instructions) == (passed, text)


def test_an_unknown_compiler_fails(gauge):
    passed, text = gauge.verdict(gauge.recorded("aaaaaaa\t6.3.1\t900\n"), "7.0", 900)
    assert (passed, text.split(":")[0]) == (False, "no figure of Swift 7.0 to compare with")


def test_the_figures_in_force_are_read(gauge):
    assert gauge.recorded(gauge.FIGURES.read_text())


def test_wrong_words_are_64():
    done = subprocess.run([sys.executable, FILE, "--fast"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/instructions [--record]\n"
