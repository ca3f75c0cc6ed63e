# SPDX-License-Identifier: Apache-2.0
"""As much as wrk can ask: calls that are forwarded, and calls of a key that has no more."""

import json
import os
import subprocess

from .machine import fail
from .process import Process
from .stage import PATH, PEER
from .subjects import TIGHT, Subject, Theatre

FLOOD_CONNECTIONS = 32


def wrk(theatre: Theatre, subject: Subject, connections: int, seconds: int) -> dict[str, int]:
    output = subject.process.log.parent / "wrk.log"
    output.unlink(missing_ok=True)
    process = Process(
        theatre.stage,
        ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s", "-s", PEER / "report.lua",
         "-H", f"X-API-Key: {theatre.key}", f"{subject.url}{PATH}"],
        output,
    )
    try:
        process.process.wait(seconds + 60)
    except subprocess.TimeoutExpired:
        fail(f"{subject.text}: wrk is not through a minute after its {seconds} s")
    said = output.read_text()
    lines = [line for line in said.splitlines() if line.startswith("report ")]
    if not lines:
        fail(f"{subject.text}: wrk said no figures: {said}")
    report = json.loads(lines[0].removeprefix("report "))
    if report["failed"] or report["requests"] == 0:
        fail(f"{subject.text}: {report['failed']} of {report['requests']} calls failed")
    # What a round logs would fill the disk until the last.
    for log in subject.process.log.parent.glob("access.log"):
        os.truncate(log, 0)
    return report


def warm(theatre: Theatre, subject: Subject, seconds: int):
    wrk(theatre, subject, 32, seconds)


def load(theatre: Theatre, subject: Subject, connections: int, seconds: int):
    split = subject.process.usage()
    before, redis_before = subject.process.seconds(), theatre.redis.seconds()
    report = wrk(theatre, subject, connections, seconds)
    used, redis_used = subject.process.seconds() - before, theatre.redis.seconds() - redis_before
    split = subject.process.usage() - split
    count = report["requests"]
    if report["refused"]:
        fail(f"{subject.text}: {report['refused']} of {count} calls were refused")
    if connections == 1:
        theatre.note(subject.kind, p50_1=report["p50"], p99_1=report["p99"])
    elif connections == 100:
        theatre.note(subject.kind, p95_100=report["p95"])
    else:
        theatre.note(
            subject.kind, cpu=used / count * 1e6, user=split.user / count * 1e6, system=split.system / count * 1e6,
            throughput=count / report["microseconds"] * 1e6, p50_32=report["p50"], p99_32=report["p99"],
            resident=subject.process.resident() / 2**20,
        )
        if subject.kind.uses_redis:
            theatre.note(subject.kind, redis=redis_used / count * 1e6)


def flood(theatre: Theatre, subject: Subject, seconds: int):
    """By a key that was refused already."""
    before, redis_before = subject.process.seconds(), theatre.redis.seconds()
    report = wrk(theatre, subject, FLOOD_CONNECTIONS, seconds)
    used, redis_used = subject.process.seconds() - before, theatre.redis.seconds() - redis_before
    count = report["requests"]
    if report["refused"] < count - TIGHT.count:
        fail(f"{subject.text}: only {report['refused']} of {count} calls of an exhausted key were refused")
    theatre.note(subject.kind, refused_cpu=used / count * 1e6, refused=count / report["microseconds"] * 1e6)
    if subject.kind.uses_redis:
        theatre.note(subject.kind, refused_redis=redis_used / count * 1e6)
