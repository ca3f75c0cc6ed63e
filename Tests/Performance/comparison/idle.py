# SPDX-License-Identifier: Apache-2.0
"""What it takes to start, and what it takes when nobody asks."""

import re
import signal
import subprocess
import time
from pathlib import Path

from .machine import fail
from .process import Process
from .proof import ask
from .subjects import Kind, Subject, Theatre


def start(theatre: Theatre, kind: Kind, number: int, settle: float):
    """CPU from exec until the first call is answered, and memory `settle` seconds later."""
    subject = theatre.start(kind, f"start{number}")
    status, _ = ask(subject.port, theatre.key)
    if status != 200:
        fail(f"{subject.text}: the first call was answered with {status}")
    ready = subject.process.seconds() * 1e3
    time.sleep(settle)
    theatre.note(kind, ready=ready, anonymous=subject.process.anonymous() / 2**20)
    subject.process.end()


def processor(theatre: Theatre, subjects: list[Subject], seconds: int):
    """Share of a CPU, in percent, of all at the same time."""
    before = [subject.process.seconds() for subject in subjects]
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    for subject, used in zip(subjects, before):
        theatre.note(subject.kind, idle_cpu=(subject.process.seconds() - used) / passed * 100)


def system_calls(theatre: Theatre, subjects: list[Subject], seconds: int):
    """A second, of all at the same time, counted by strace. To attach interrupts the call each thread is in: one more each."""
    tracers = [Tracer(theatre, subject) for subject in subjects]
    for tracer in tracers:
        tracer.wait_until_attached()
    began = time.monotonic()
    time.sleep(seconds)
    for tracer in tracers:
        tracer.process.process.send_signal(signal.SIGINT)
    passed = time.monotonic() - began
    for tracer in tracers:
        theatre.note(tracer.subject.kind, idle_calls=tracer.count() / passed)


class Tracer:
    def __init__(self, theatre: Theatre, subject: Subject):
        self.subject = subject
        self.counts = theatre.stage.folder / f"strace-{subject.kind.name}"
        self.counts.unlink(missing_ok=True)
        log = Path(f"{self.counts}.log")
        log.unlink(missing_ok=True)
        pids = [argument for pid in subject.process.pids() for argument in ("-p", str(pid))]
        self.process = Process(theatre.stage, ["strace", "-f", "-c", "-U", "calls,name", "-o", self.counts, *pids], log)

    def wait_until_attached(self):
        deadline = time.monotonic() + 10
        while self.process.log.read_text().count(" attached") < len(self.subject.process.pids()):
            if self.process.process.poll() is not None or time.monotonic() > deadline:
                fail(f"strace can't look at {self.subject.text}: {self.process.log.read_text()}")
            time.sleep(0.01)

    def count(self) -> int:
        # It writes when it has let go of all threads; a second signal would end it before.
        try:
            self.process.process.wait(20)
        except subprocess.TimeoutExpired:
            fail(f"strace does not let go of {self.subject.text}: {self.process.log.read_text()}")
        text = self.counts.read_text()
        # It writes nothing where nothing was called.
        total = re.search(r"^ *(\d+) total$", text, re.MULTILINE)
        if text.strip() and not total:
            fail(f"strace wrote no total of {self.subject.text}: {text}")
        return int(total[1]) if total else 0
