# SPDX-License-Identifier: Apache-2.0
"""A program under measurement, and what the kernel says of it."""

import os
import re
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import ending
from .machine import fail

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """CPU seconds of a process and its children that live, by where it spent them."""

    user: float
    system: float

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.user - other.user, self.system - other.system)


class Process:
    """A program that runs until the stage it belongs to is cleared, or `end`."""

    def __init__(self, stage, command: list, log: Path, env: dict | None = None):
        # To append: what a round has written is cut off between rounds.
        self.log = log
        with log.open("ab") as output, ending.held():
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={**os.environ, **(env or {})},
            )
            stage.processes.append(self)
        self.began = time.monotonic()

    def pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def usage(self) -> Usage:
        """In ticks of 10 ms."""
        times = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13] for pid in self.pids()]
        return Usage(sum(int(user) for user, _ in times) / TICKS, sum(int(system) for _, system in times) / TICKS)

    def seconds(self) -> float:
        """CPU seconds to the nanosecond: the clock that clock_getcpuclockid(3) makes of a process id."""
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in self.pids())

    def status(self, figure: str) -> int:
        """Bytes, of the process that does the work: nginx' master waits in another."""
        text = Path(f"/proc/{self.pids()[-1]}/status").read_text()
        return int(re.search(rf"^{figure}:\s+(\d+) kB$", text, re.MULTILINE)[1]) * 1024

    def resident(self) -> int:
        return self.status("VmRSS")

    def anonymous(self) -> int:
        """Memory of its own, without pages of files."""
        return self.status("RssAnon")

    def awaits(self, port: int, seconds: int = 20):
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                fail(f"{self.process.args[0]} did not start: {self.log.read_text()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.01)

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
