# SPDX-License-Identifier: Apache-2.0
"""docs/reliability.md has the rows of the suite, with figures that it has measured and no others, and words that there are."""

import re

from fixtures.faults import FAULTS
from fixtures.programs import ROOT
from fixtures.reliability import BEGIN, END, PAGE, load, page

TEXT = PAGE.read_text()
SOURCES = {
    place: "\n".join(file.read_text() for file in sorted((ROOT / "Sources" / place).rglob("*.swift")))
    for place in ("Proxy", "Redis", "tollgate")
}


def column(heading: str, number: int = 0) -> list[str]:
    """Of the first table below a heading."""
    _, _, rest = TEXT.partition(f"\n{heading}\n")
    assert rest, heading
    table = re.search(r"^\|.*?\n(?!\|)", rest, re.MULTILINE | re.DOTALL)[0]
    return [line.strip("|").split(" | ")[number].strip() for line in table.splitlines()[2:]]


def test_every_fault_of_the_suite_and_no_other():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    assert list(load()) == names or set(load()) == set(names), "measure anew: TOLLGATE_WRITE_RELIABILITY=1"
    assert column("## What was measured") == names


def test_every_figure_was_measured():
    assert page(TEXT, FAULTS, load()) == TEXT
    between = TEXT[TEXT.index(BEGIN) : TEXT.index(END)]
    assert between.count("\n| ") == len(FAULTS) + 1


def test_what_was_measured_is_as_promised():
    for fault in FAULTS:
        figures = load()[fault.name]
        assert set(figures.readiness) <= fault.reasons, fault.name
        assert figures.served >= fault.served and figures.back < fault.back, fault.name
        assert figures.grown < 1, fault.name
        if fault.on_failure != "open":
            assert figures.excess <= fault.excess + 0.5, fault.name


def test_every_reason_is_one_that_readiness_gives():
    codes = set(re.findall(r'"([A-Z]+)"', SOURCES["Redis"]))
    own = set(re.findall(r'\b(?:self\.init|Self)\(\s*"(\w+)"', SOURCES["tollgate"]))
    reasons = {word for cell in column("## First") for word in re.findall(r"`(\w+)`", cell)}
    assert len(reasons) > 10 and reasons <= codes | own, reasons - codes - own
    seen = {reason for fault in FAULTS for reason in load()[fault.name].readiness}
    # What isn't Redis is in the table that this one leads to.
    assert seen - {"not_redis", "error"} <= reasons, seen - reasons


def test_every_metric_is_one_that_there_is():
    names = {re.search(r"\w+", cell)[0] for cell in column("## Metrics in an outage")}
    listed = set(re.findall(r"^\| `(tollgate_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    assert names <= listed, names - listed
    assert {name for name in listed if name.startswith("tollgate_redis_")} - names == {"tollgate_redis_commands_in_flight"}
