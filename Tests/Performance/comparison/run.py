# SPDX-License-Identifier: Apache-2.0
"""One run: what is measured how often, in which order, and what is printed of it."""

import os
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from . import ending, handshakes, idle, machine, memory
from .client import RATE_CONNECTIONS, at_rate
from .figures import SECURE_LETTERS, SECURE_TABLES, TABLES, table
from .load import FLOOD_CONNECTIONS, flood, load, warm
from .machine import fail
from .programs import program
from .proof import ask, prove, prove_log
from .report import PLAIN, SECURE, Document, Report, report, write
from .security import CIPHER, VERSION, Security
from .stage import Stage
from .subjects import CONNECTIONS, KINDS, PROXIES, TIGHT, Subject, Theatre


@dataclass(frozen=True)
class Rounds:
    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.count} of {self.seconds:g} s"


@dataclass(frozen=True)
class Sizes:
    """So many that pay for what a process makes once, and so many that are counted."""

    first: int
    more: int


@dataclass(frozen=True)
class Plan:
    warm: int
    #: By connections.
    loads: dict[int, Rounds]
    flood: Rounds
    #: Calls a second.
    rate: int
    at_rate: Rounds
    starts: int
    idle: Rounds
    #: Of memory, and seconds until it is what it is.
    growths: int
    settle: float
    connections: Sizes
    streams: Sizes
    keys: Sizes
    counts_instructions: bool

    @property
    def is_quick(self) -> bool:
        return self is QUICK


FULL = Plan(
    warm=1, loads={32: Rounds(7, 5), 1: Rounds(15, 1), 100: Rounds(3, 3)}, flood=Rounds(5, 2), rate=1000,
    at_rate=Rounds(3, 4), starts=5, idle=Rounds(3, 5), growths=2, settle=2.5, connections=Sizes(100, 500),
    streams=Sizes(50, 200), keys=Sizes(200, 1000), counts_instructions=True)
QUICK = Plan(
    warm=0, loads={32: Rounds(1, 1), 1: Rounds(1, 1), 100: Rounds(1, 1)}, flood=Rounds(1, 1), rate=200,
    at_rate=Rounds(1, 0.5), starts=1, idle=Rounds(1, 1), growths=1, settle=0.3, connections=Sizes(2, 10),
    streams=Sizes(2, 10), keys=Sizes(2, 10), counts_instructions=False)


def say(text: str):
    print(text, flush=True)


def run(plan: Plan, writes: bool):
    ending.on_signals()
    machine.install(machine.PACKAGES + (machine.COUNTING if plan.counts_instructions else []))
    raise_descriptors(plan)
    for name in ("tollgate", "tollgatectl"):
        machine.built(name)
    head = described(plan)
    say(f"{head['machine']}; load average {head['load']}\n{head['programs']}\n")
    # First, since it is what may fail on a machine that isn't as it should be.
    counted = {"instructions": {"a": [instructions()]}} if plan.counts_instructions else {}
    done = report(head, {**measured(plan), **counted})
    show(done, list(TABLES))
    conclude(done, PLAIN, plan, writes)


def conclude(done: Report, document: Document, plan, writes: bool):
    if writes:
        write(done, document)
        say(f"\nWritten: {document.ratios.relative_to(machine.ROOT)} and {document.page.relative_to(machine.ROOT)}")
    elif plan.is_quick:
        say("\nTests/Performance/compare --quick: the figures say nothing")


def raise_descriptors(plan: Plan):
    """Both ends of every connection of a proxy are open in it, and the client's ends of all proxies' in this process."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    counted = max(plan.connections.first + plan.connections.more, plan.streams.first + plan.streams.more)
    needed = max(2 * CONNECTIONS, len(PROXIES) * counted) + 256
    if most != resource.RLIM_INFINITY and most < needed:
        fail(f"a process may open {most} files here, which is fewer than {needed}: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(needed, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), most))


def over(rounds: Rounds, connections: int) -> str:
    return f"{rounds} over {connections} connection{'s' if connections > 1 else ''}"


def described(plan: Plan) -> dict[str, str]:
    return {
        "commit": machine.commit(), "measured": datetime.now(UTC).date().isoformat(), "machine": machine.description(),
        "load": f"{os.getloadavg()[0]:.2f}", "programs": machine.programs(),
        **{f"rounds_{connections}": over(rounds, connections) for connections, rounds in plan.loads.items()},
        "flood": over(plan.flood, FLOOD_CONNECTIONS), "rate": str(plan.rate),
        "at_rate": over(plan.at_rate, RATE_CONNECTIONS), "starts": str(plan.starts),
        "idle": str(plan.idle), "growths": str(plan.growths), "connections": str(plan.connections.more),
        "streams": str(plan.streams.more), "keys": str(plan.keys.more),
    }


def measured(plan: Plan) -> dict[str, dict[str, list[float]]]:
    with Stage() as stage:
        redis = stage.redis()
        handler, handler_port = stage.nginx("handler", "handler.conf.template")
        theatre = Theatre(stage, redis, handler, handler_port, stage.key())
        refusing(theatre, plan)
        starting(theatre, plan)
        growing(theatre, plan)
        subjects = [
            theatre.start(kind, "ample") if kind.start else Subject(kind, handler, handler_port) for kind in KINDS]
        resting(theatre, plan, subjects)
        working(theatre, plan, subjects)
        return theatre.figures


def refusing(theatre: Theatre, plan: Plan):
    say("The same job:")
    subjects = []
    for kind in PROXIES:
        if kind.limits:
            # A limiter counts in buckets of its own, but tollgate's are those of its policies, whatever they allow.
            forget_buckets(theatre)
            subjects.append(theatre.start(kind, "tight", TIGHT))
            prove(subjects[-1], theatre.key)
    for subject in subjects:
        prove_log(subject)
    say(f"A flood of a key that has no more: {over(plan.flood, FLOOD_CONNECTIONS)}")
    for _ in range(plan.flood.count):
        for subject in subjects:
            flood(theatre, subject, int(plan.flood.seconds))
    for subject in subjects:
        subject.process.end()
    forget_buckets(theatre)


def forget_buckets(theatre: Theatre):
    for name in theatre.stage.ask_redis("--scan", "--pattern", "tg:1:{acme}:b:*"):
        theatre.stage.ask_redis("DEL", name)


def starting(theatre: Theatre, plan: Plan):
    say(f"{plan.starts} starts")
    for number in range(plan.starts):
        for kind in PROXIES:
            idle.start(theatre, kind, number, min(1, plan.settle))


def growing(theatre: Theatre, plan: Plan):
    say(f"Memory: {plan.connections.more} idle connections, {plan.streams.more} event streams, {plan.keys.more} keys")
    _, upstream = theatre.stage.streams()
    issued = memory.copied_keys(theatre, plan.keys.first + plan.keys.more)
    for number in range(plan.growths):
        growth = memory.Growth(theatre, "connection", plan.settle)
        growth.measure(PROXIES, number, plan.connections.first, plan.connections.more, None, growth.connection)
        growth = memory.Growth(theatre, "stream", plan.settle)
        growth.measure(PROXIES, number, plan.streams.first, plan.streams.more, upstream, growth.stream)
        knowing = [kind for kind in PROXIES if kind.uses_redis]
        for figure, calls in ("key", 1), ("busy_key", 3):
            growth = memory.Growth(theatre, figure, plan.settle)
            growth.measure(knowing, number, plan.keys.first, plan.keys.more, None, growth.caller(issued, calls))


def resting(theatre: Theatre, plan: Plan, subjects: list[Subject]):
    say(f"Idle: {plan.idle}, and as long with strace")
    proxies = [subject for subject in subjects if subject.kind.start]
    for subject in proxies:
        status, _ = ask(subject.port, theatre.key)
        if status != 200:
            fail(f"{subject.text}: a call was answered with {status}")
    # Until connections to the handler that nobody uses are closed, and the daemon has rested for a while: it begins five
    # seconds after the last client has left.
    time.sleep(plan.settle * 4)
    for _ in range(plan.idle.count):
        idle.processor(theatre, proxies, plan.idle.seconds)
    for _ in range(plan.idle.count):
        idle.system_calls(theatre, proxies, plan.idle.seconds)


def working(theatre: Theatre, plan: Plan, subjects: list[Subject]):
    if plan.warm:
        for subject in subjects:
            warm(theatre, subject, plan.warm)
    for connections, rounds in plan.loads.items():
        say(over(rounds, connections))
        for _ in range(rounds.count):
            for subject in subjects:
                load(theatre, subject, connections, int(rounds.seconds))
    say(f"{over(plan.at_rate, RATE_CONNECTIONS)} at {plan.rate} calls a second")
    for _ in range(plan.at_rate.count):
        for subject in subjects:
            took = at_rate(subject.port, theatre.key, plan.rate, plan.at_rate.seconds)
            theatre.note(subject.kind, p50_rate=took[len(took) // 2], p99_rate=took[len(took) * 99 // 100])


def instructions() -> int:
    """As Tests/Performance/instructions counts them, which takes the stage of this comparison."""
    say("Instructions a request")
    count = program("instructions").measure()
    # It is for that alone: sets and dictionaries are not to have their order from it elsewhere.
    del os.environ["SWIFT_DETERMINISTIC_HASHING"]
    return count


def show(done: Report, tables: list[str]):
    for name in tables:
        say(f"\n{table(name, done.rows)}")


# ---- over TLS ----


@dataclass(frozen=True)
class SecurePlan:
    warm: int
    load: Rounds
    #: Rounds of so many.
    handshakes: tuple[int, int]
    growths: int
    settle: float
    connections: Sizes

    @property
    def is_quick(self) -> bool:
        return self is SECURE_QUICK


SECURE_FULL = SecurePlan(
    warm=1, load=Rounds(7, 5), handshakes=(7, 1000), growths=2, settle=2.5, connections=Sizes(100, 500))
SECURE_QUICK = SecurePlan(
    warm=0, load=Rounds(1, 1), handshakes=(1, 20), growths=1, settle=0.3, connections=Sizes(2, 10))


def run_securely(plan: SecurePlan, writes: bool):
    ending.on_signals()
    machine.install([*machine.PACKAGES, "openssl"])
    for name in ("tollgate", "tollgatectl"):
        machine.built(name)
    count, size = plan.handshakes
    head = {
        "commit": machine.commit(), "measured": datetime.now(UTC).date().isoformat(), "machine": machine.description(),
        "load": f"{os.getloadavg()[0]:.2f}", "programs": machine.programs(), "rounds": over(plan.load, 32),
        "handshakes": f"{count} of {size}", "growths": str(plan.growths), "connections": str(plan.connections.more),
        "version": VERSION, "cipher": CIPHER,
    }
    say(f"{head['machine']}; load average {head['load']}\n{head['programs']}\n")
    done = report(head, measured_securely(plan), SECURE)
    show(done, list(SECURE_TABLES))
    conclude(done, SECURE, plan, writes)


def measured_securely(plan: SecurePlan) -> dict[str, dict[str, list[float]]]:
    with Stage() as stage:
        redis = stage.redis()
        handler, handler_port = stage.nginx("handler", "handler.conf.template")
        theatre = Theatre(stage, redis, handler, handler_port, stage.key())
        stage.security = Security(stage.folder / "tls")
        kinds = [kind for kind in PROXIES if kind.letter in SECURE_LETTERS]
        say(f"Memory: {plan.connections.more} idle connections")
        for number in range(plan.growths):
            growth = memory.Growth(theatre, "connection", plan.settle)
            growth.measure(kinds, number, plan.connections.first, plan.connections.more, None, growth.connection)
        subjects = [theatre.start(kind, "ample") for kind in kinds]
        for subject in subjects:
            handshakes.prove(subject, theatre.key)
        say(f"{plan.handshakes[0]} of {plan.handshakes[1]} handshakes")
        for _ in range(plan.handshakes[0]):
            for subject in subjects:
                handshakes.measure(theatre, subject, plan.handshakes[1])
        if plan.warm:
            for subject in subjects:
                warm(theatre, subject, plan.warm)
        say(over(plan.load, 32))
        for _ in range(plan.load.count):
            for subject in subjects:
                load(theatre, subject, 32, int(plan.load.seconds))
        return theatre.figures
