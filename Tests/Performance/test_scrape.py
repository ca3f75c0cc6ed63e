# SPDX-License-Identifier: Apache-2.0
"""What the gauge of scrapes makes of its figures. The measuring itself is a stage of Tests/run --long."""

import subprocess
import sys
from pathlib import Path

import pytest
from comparison.programs import program

FILE = Path(__file__).resolve().parent / "scrape"


@pytest.fixture(scope="module")
def gauge():
    return program("scrape")


@pytest.mark.parametrize(
    ("none", "many", "passed", "text"),
    [
        (700, 750, True, "0.8 ms with 100 000 callers at hand, and 0.7 ms with none, by the debug build"),
        (2500, 5000, True, "5.0 ms with 100 000 callers at hand, and 2.5 ms with none, by the debug build"),
        (4000, 5001, False, "5.0 ms with 100 000 callers at hand, and 4.0 ms with none, by the debug build: at most 5 ms are allowed"),
        (700, 1401, False, "1.4 ms with 100 000 callers at hand, and 0.7 ms with none, by the debug build: at most 2 times as long is allowed"),
    ],
)
def test_a_scrape_is_short_whoever_has_called(gauge, none, many, passed, text):
    assert gauge.verdict(gauge.Figure("aaaaaaa", "6.3.1", "debug", none, many)) == (passed, text)


def test_figures_are_read_as_they_are_written(gauge):
    figure = gauge.Figure("aaaaaaa", "6.3.1", "release", 700, 750)
    assert gauge.recorded(gauge.FIGURES.read_text() + f"{figure}\n")[-1] == figure


def test_wrong_words_are_64():
    done = subprocess.run([sys.executable, FILE, "--fast"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/scrape [--record]\n"
