# SPDX-License-Identifier: Apache-2.0
"""What the gauge of junk makes of its figures. The measuring itself is a stage of Tests/run --long."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from comparison.programs import program

FILE = Path(__file__).resolve().parent / "junk"


@pytest.fixture(scope="module")
def gauge():
    return program("junk")


@pytest.mark.parametrize(
    ("policies", "bad", "asked", "passed", "ratio"),
    [
        (["org", "key"], 65_000, 0.05, True, "0.65"),
        (["org", "key"], 65_500, 0.05, False, "0.66"),
        (["org", "key"], 20_000, 1.0, False, "0.20"),
        (["address", "org", "key"], 95_000, 1.05, True, "0.95"),
        (["address", "org", "key"], 95_500, 1.05, False, "0.95"),
        (["address", "org", "key"], 20_000, 2.0, False, "0.20"),
    ],
)
def test_junk_is_cheap_and_asks_for_its_address_alone(gauge, policies, bad, asked, passed, ratio):
    text = (
        f"{' '.join(policies)}: {bad} instructions a call with a key that proves nothing, {ratio} times the 100000 of a good "
        f"one; {asked:.2f} scripts of Redis"
    )
    assert gauge.Cost(policies, 100_000, bad, asked).verdict() == (passed, text)


@pytest.mark.parametrize(("served", "slowest", "passed"), [(3996, 0.05, True), (3995, 0.01, False), (4000, 0.051, False)])
def test_good_calls_come_through(gauge, served, slowest, passed):
    others = {503: 4000 - served} if served < 4000 else {}
    text = (
        f"{served / 40:.2f} % of 4000 good calls served after a restart, 99 of 100 within {1000 * slowest:.1f} ms; others: "
        f"{others or 'none'}"
    )
    assert gauge.Seen(served, 4000, slowest, others).verdict() == (passed, text)


def test_answers_to_junk_are_counted_by_what_they_cost(gauge, tmp_path):
    log = tmp_path / "access.log"
    statuses = [401, 503, 401, 503, 503, 200]
    log.write_text("".join(f'{{"time":"2026-11-23T08:00:00Z","status":{status},"reason":null}}\n' for status in statuses))
    assert gauge.Answers.of(log) == gauge.Answers(6, 2)
    assert str(gauge.Flood(None, 9134.2, 1989.1, 0.117)) == (
        "9134 junk calls answered a second, 1989 of them after a look-up, which leave 0.12 of a core idle"
    )


def test_junk_has_the_form_of_keys(gauge):
    key = gauge.junk()
    assert key.startswith("mcp_") and len(key) == 47
    octets = base64.urlsafe_b64decode(key[4:] + "=")
    assert len(octets) == 32 and base64.urlsafe_b64encode(octets).decode().rstrip("=") == key[4:]
    assert key != gauge.junk()


def test_wrong_words_are_64():
    done = subprocess.run([sys.executable, FILE, "--fast"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: Tests/Performance/junk [--help] [PART...]\n"
