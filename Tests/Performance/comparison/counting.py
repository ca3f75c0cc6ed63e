# SPDX-License-Identifier: Apache-2.0
"""Instructions of a process, counted by valgrind."""

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Protocol

from .machine import built, fail
from .process import Process

#: Calls to two daemons. What both do, starting and ending, isn't in the difference.
SHORT, LONG = 200, 1700


def under_valgrind(counts: Path, *options: str) -> list[str]:
    """The beginning of a command that is counted, into a file."""
    return ["valgrind", "--tool=callgrind", *options, f"--callgrind-out-file={counts}"]


def counted(counts: Path, log: Path) -> int:
    """What valgrind has written when the process ended."""
    found = re.search(r"^totals: (\d+)$", counts.read_text() if counts.exists() else "", re.MULTILINE)
    if not found:
        fail(f"valgrind counted nothing: {log.read_text()[-2000:]}")
    return int(found[1])


def stripped(stage) -> Path:
    """The daemon without what there is for debuggers, which valgrind would read for minutes."""
    program = stage.folder / "tollgate"
    if not program.exists():
        shutil.copy(built("tollgate"), program)
        subprocess.run(["strip", program], check=True)
    return program


class Counted(Protocol):
    """A daemon that was started under valgrind."""

    process: Process
    counts: Path

    def call(self, times: int): ...


def a_call(daemons: list[Counted]) -> int:
    """Instructions of one, by two daemons. Loops tick whether somebody asks or not: two that live equally long have the same
    ticks, and so the difference of their counts has none."""
    for daemon, times in zip(daemons, (SHORT, LONG), strict=True):
        daemon.call(times)
    age = time.monotonic() - daemons[0].process.began
    for daemon in daemons:
        time.sleep(max(0, daemon.process.began + age - time.monotonic()))
        daemon.process.process.terminate()
    for daemon in daemons:
        daemon.process.end()
    few, many = [counted(daemon.counts, daemon.process.log) for daemon in daemons]
    return round((many - few) / (LONG - SHORT))
