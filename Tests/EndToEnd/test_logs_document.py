# SPDX-License-Identifier: Apache-2.0
"""docs/logs.md has every reason, member and message that the sources have, and no other."""

import re

from fixtures.programs import ROOT
from test_access_log import ORDER

DOCUMENT = (ROOT / "docs/logs.md").read_text()
LITERAL = r'"((?:[^"\\]|\\.)*)"'


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    _, _, rest = DOCUMENT.partition(f"\n{heading}\n")
    assert rest, heading
    table = re.search(r"^\|.*?\n(?!\|)", rest, re.MULTILINE | re.DOTALL)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def sources(*folders: str) -> str:
    files = sorted(file for folder in folders for file in (ROOT / "Sources" / folder).rglob("*.swift"))
    return "\n".join(file.read_text() for file in files)


def test_every_member_in_its_order():
    assert [row[0].strip("| `") for row in rows("## The access log")] == ORDER


def test_every_reason():
    table = (ROOT / "Sources/Proxy/Exchange/Reason.swift").read_text()
    found = set(re.findall(r'case \.\w+: "([a-z_]+)"', table))
    told = [row[0].strip("| `") for row in rows("### Reasons")]
    assert len(told) == len(set(told))
    assert set(told) == found


def test_every_message():
    text = sources("Admin", "Admission", "OpenAPI", "Proxy", "Redis", "Telemetry", "tollgate")
    calls = re.findall(r"(?:logger|log)\??\.(debug|info|notice|warning|error|critical)\((.*?)(?:metadata:|\)\s*$|\)\s*\})", text, re.DOTALL | re.MULTILINE)
    found: dict[str, str] = {}
    for level, arguments in calls:
        if block := re.search(r'"""\n(.*?)\n\s*"""', arguments, re.DOTALL):
            lines = [line.strip() for line in block[1].splitlines()]
            found["".join(line.removesuffix("\\") for line in lines)] = level
        else:
            found |= {message: level for message in re.findall(LITERAL, arguments)}
    # What begins and ends, and what is said now and then, is given to who says it.
    found |= {message: "error" for message in re.findall(rf"began:\s*{LITERAL}", text)}
    found |= {message: "notice" for message in re.findall(rf"\bended:\s*{LITERAL}", text)}
    found |= {message: "notice" for message in re.findall(rf"Notice\(\s*logger: logger,\s*{LITERAL}", text)}
    found |= {message: "error" for message in re.findall(rf"beginTrouble\({LITERAL}", text)}
    told = {row[0].strip("| `"): row[1] for row in rows("## The daemon's own log")}
    assert set(told) == set(found)
    assert told == found
