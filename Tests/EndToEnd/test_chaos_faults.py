# SPDX-License-Identifier: Apache-2.0
"""Each fault of `fixtures/faults.py`, with good keys and one that is denied most of the time asking all along.

TOLLGATE_WRITE_RELIABILITY=1 puts what was measured into docs/reliability.md; TOLLGATE_LONG has each fault last longer.
"""

import json
import time

import pytest
from fixtures.faults import BURST, FAULTS, RATE, Fault, Stage
from fixtures.other_servers import valkey
from fixtures.reliability import Figures, written
from fixtures.template import key_in
from fixtures.upstream import Upstream
from fixtures.wire import ask, until
from test_chaos_redis import Callers, complaints

ORG = [{"name": "org", "per": "org", "limit": "1000000/7d"}]
MEBIBYTE = 1 << 20


class Greedy(Callers):
    """Asks for more than its organization may have."""

    statuses = frozenset({200, 429, 503})

    def excess(self) -> float:
        """The most tokens that it got beyond burst + rate × time, in any window of time."""
        admitted = [(began, began + took) for began, status, took in self.answers if status == 200]
        most = -float(BURST)
        for first, (began, _) in enumerate(admitted):
            for last in range(first, len(admitted)):
                most = max(most, last - first + 1 - BURST - RATE * (admitted[last][1] - began))
        return max(0.0, most)


@pytest.fixture
def stage(folder):
    made = Stage(folder / "stage")
    made.folder.mkdir()
    yield made
    made.close()


def begin(stage: Stage, fault: Fault, launch, upstream) -> tuple[str, str]:
    """A good key, and one of an organization with a small limit."""
    stage.set(fault.via, fault.arguments)
    good, greedy = key_in(stage.redis), stage.control.issue("greedy")["key"]
    stage.control("org", "limit", "greedy", f"org={RATE}/1s")
    settings = {"timeout": fault.timeout, "on_failure": fault.on_failure, "local_share": 1}
    if stage.network:
        place = str(stage.folder / "tollgate.sock")
        stage.daemon = launch(
            upstream, redis_url=stage.url, redis_settings=settings, policies=ORG, ready=False,
            listen=f"unix:{place}", within=stage.network.within,
        )  # fmt: skip
        stage.daemon.port = place
    else:
        stage.daemon = launch(upstream, redis_url=stage.url, redis_settings=settings, policies=ORG)
    until(lambda: readiness(stage) == {"status": "ready"}, "being ready")
    return good, greedy


def readiness(stage: Stage) -> dict:
    """What /readyz says, with a status that fits it."""
    if stage.network:
        return json.loads(stage.network.run("curl", "-sS", f"http://127.0.0.1:{stage.daemon.admin}/readyz"))
    answer = ask(stage.daemon.admin, "GET", "/readyz")
    told = answer.json()
    assert answer.status == (503 if told["status"] == "redis unavailable" else 200), told
    return told


@pytest.fixture
def upstream(folder):
    """Of a network of its own too."""
    handler = Upstream(path=str(folder / "handler.sock"))
    yield handler
    handler.close()


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def befall(stage: Stage, fault: Fault, launch, upstream) -> Figures:
    good, greedy = begin(stage, fault, launch, upstream)
    daemon = stage.daemon
    fault.prepares(stage)
    with Callers(daemon, good) as callers, Greedy(daemon, greedy, count=1) as other:
        until(lambda: len(callers.answers) > 200 and any(status == 429 for _, status, _ in other.answers), "all asking")
        resident, before, began = daemon.resident(), len(complaints(daemon)), time.monotonic()
        reasons: set[str] = set()
        fault.begins(stage)
        first = None
        while (now := time.monotonic()) < began + fault.lasts:
            told = readiness(stage)
            if told["status"] != "ready":
                assert told["status"] == ("redis unavailable" if fault.on_failure == "closed" else "degraded")
                reasons.add(told["reason"])
            if first is None and now >= began + 2:
                first = len(complaints(daemon)) - before
            time.sleep(0.05)
        lines = len(complaints(daemon)) - before
        first = lines if first is None else first
        fault.ends(stage)
        again = time.monotonic()
        back = callers.back_after(again)
        until(lambda: readiness(stage) == {"status": "ready"}, "being ready again")
        # What follows from it, a refusal that was remembered or a correction, is in the count of tokens.
        time.sleep(0.5)
        grown = daemon.resident() - resident
    stage.ended()
    during = [answer for answer in callers.since(began) if answer[0] < again]
    took = [took for _, _, took in during]
    served = sum(status == 200 for _, status, _ in during) / max(1, len(during))
    figures = Figures(
        asked=len(during), served=served, median_ms=percentile(took, 0.5) * 1000, slowest_ms=percentile(took, 0.99) * 1000,
        readiness=sorted(reasons), lines_first=first, lines_then=lines - first, then=max(0.0, again - began - 2),
        back=back, refused=any(status == 503 for _, status, _ in callers.since(began)),
        excess=other.excess(), grown=grown / MEBIBYTE,
    )  # fmt: skip
    print(f"{fault.name}: {figures}")
    print(*complaints(daemon)[before:], sep="\n")
    return figures


def is_borne(figures: Figures, fault: Fault):
    """Within bounds that leave room for a busy machine."""
    assert set(figures.readiness) <= fault.reasons
    assert figures.served >= fault.served
    assert figures.back < fault.back
    assert figures.lines_first <= 12
    assert figures.lines_then <= 2 + fault.lines * figures.then / 60
    # Of counting by two clocks.
    if fault.on_failure != "open":
        assert figures.excess <= fault.excess + 2
    assert figures.grown < 8


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault(stage, fault, launch, upstream):
    figures = befall(stage, fault, launch, upstream)
    written(fault.name, figures, FAULTS)
    is_borne(figures, fault)


#: What is the server's own doing, and might be another's differently.
OF_VALKEY = [FAULTS[number] for number in (0, 7, 15)]


@pytest.mark.parametrize("fault", OF_VALKEY, ids=lambda fault: fault.name)
def test_a_fault_of_valkey(stage, fault, launch, upstream):
    stage.redis.executable = valkey()
    is_borne(befall(stage, fault, launch, upstream), fault)
