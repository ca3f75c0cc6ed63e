# SPDX-License-Identifier: Apache-2.0
"""What the gauge of an idle page makes of its figures. The measuring itself takes two minutes, and a machine at rest."""

import subprocess
import sys
from pathlib import Path

import pytest
from comparison.programs import program

FILE = Path(__file__).resolve().parent / "page"


@pytest.fixture(scope="module")
def gauge():
    return program("page")


@pytest.mark.parametrize(
    ("without", "beside", "passed", "words"),
    [
        (0.0005, 0.0009, True, "0.050% of a core, and with a page open 0.090%"),
        (0.0005, 0.0015, False, "the page costs 0.100%, of at most 0.1%"),
        (0.0005, 0.0004, True, "the page costs -0.010%"),
    ],
)
def test_an_idle_page_costs_hardly_anything(gauge, without, beside, passed, words):
    verdict, text = gauge.verdict(without, beside, "release")
    assert verdict is passed and words in text


@pytest.mark.parametrize("arguments", [["fast"], ["60", "60"], ["-1"]])
def test_wrong_words_are_64(arguments):
    done = subprocess.run([sys.executable, FILE, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", "usage: Tests/Performance/page [SECONDS]\n")
