# SPDX-License-Identifier: Apache-2.0
"""What the gauge makes of its figures. The counting itself is a stage of Tests/run --long."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from comparison import counting
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


class Clock:
    """Stands still but while somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float):
        self.now += seconds


class Counted:
    """A daemon of which each call takes 1000 instructions and a millisecond, and each second that it lives a million."""

    def __init__(self, clock: Clock, folder: Path, number: int):
        self.clock, self.counts, self.calls, self.ended = clock, folder / f"counts-{number}", 0, 0.0
        self.process = SimpleNamespace(
            began=clock.now, log=folder / "log", process=SimpleNamespace(terminate=self.terminate), end=self.end)

    def call(self, times: int):
        self.calls = times
        self.clock.sleep(times / 1000)

    def terminate(self):
        self.ended = self.clock.now

    def end(self):
        lived = self.ended - self.process.began
        self.counts.write_text(f"events: Ir\ntotals: {1000 * self.calls + round(1_000_000 * lived)}\n")


def test_what_daemons_do_by_themselves_is_no_call(monkeypatch, tmp_path):
    clock = Clock()
    monkeypatch.setattr(counting, "time", clock)
    first = Counted(clock, tmp_path, 0)
    clock.sleep(3)
    second = Counted(clock, tmp_path, 1)
    # The first one is 3 s older: 2000 a call, if both ended at once.
    assert counting.a_call([first, second]) == 1000
    assert (first.calls, second.calls) == (counting.SHORT, counting.LONG)


def test_a_count_that_is_missing_ends_the_run(tmp_path):
    (tmp_path / "log").write_text("no such program\n")
    with pytest.raises(SystemExit, match="valgrind counted nothing: no such program"):
        counting.counted(tmp_path / "counts", tmp_path / "log")
    assert counting.under_valgrind(tmp_path / "counts", "--hz=1")[:3] == ["valgrind", "--tool=callgrind", "--hz=1"]


def test_wrong_words_are_64():
    done = subprocess.run([sys.executable, FILE, "--fast"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/instructions [--record]\n"
