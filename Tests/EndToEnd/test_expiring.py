# SPDX-License-Identifier: Apache-2.0
"""Keys that end soon: counted by one sidecar, shown by all."""

import pytest
from fixtures.programs import ROOT
from fixtures.wire import until
from test_metrics import samples

#: A sidecar counts half a minute after its start at the earliest, and reads what was counted every 20 s.
FAST = [ROOT / "Tests/at", "--speed", "20"]
LOCK = "tg:1:{:m}:retention"
FIGURE = "tg:1:{:m}:expiring"


def expiring(daemon) -> dict[str, float]:
    return {
        dict(labels)["within"]: number
        for (name, labels), number in samples(daemon).items()
        if name == "tollgate_keys_expiring"
    }


def tells(daemon, day: int, week: int, month: int):
    wanted = {"24h": day, "7d": week, "30d": month}
    until(lambda: expiring(daemon) == wanted, f"{wanted} being shown")


def test_all_sidecars_show_what_one_has_counted(launch, upstream, ctl, redis):
    for org, name, *expires in (
        ("acme", "ci", "12h"),
        ("acme", "laptop", "3d"),
        ("acme", "phone", "20d"),
        ("acme", "server", "90d"),
        ("globex", "desk", "5d"),
        ("globex", "forever"),
        ("initech", "printer", "1h"),
    ):
        ctl.issue(org, name, *(["--expires", *expires] if expires else []))
    ctl.revoke(ctl.issue("globex", "lost", "--expires", "1h")["id"])
    ctl("org", "suspend", "initech")
    first = launch(upstream, within=FAST)
    tells(first, 1, 3, 4)
    holder = redis("GET", LOCK)
    second = launch(upstream, within=FAST)
    tells(second, 1, 3, 4)
    # Its figure outlives the sidecar that counted, and so does its lock.
    first.process.kill()
    first.wait()
    first.process = None
    assert redis("GET", LOCK) == holder
    ctl.issue("globex", "tablet", "--expires", "2h")
    assert expiring(second) == {"24h": 1, "7d": 3, "30d": 4}
    # The lock ends half an hour after the round; then whoever comes next counts.
    redis("DEL", LOCK)
    third = launch(upstream, within=FAST)
    for daemon in (second, third):
        tells(daemon, 2, 4, 5)
    assert redis("GET", LOCK) not in (None, holder)
    # Hours after the last round, the figure has ended.
    redis("DEL", FIGURE)
    for daemon in (second, third):
        until(lambda daemon=daemon: expiring(daemon) == {}, "the figure vanishing")


@pytest.mark.parametrize("figure", [None, "24h=1", "24h=1 7d=1 30d=-1"])
def test_no_figure_is_no_series(launch, upstream, redis, figure):
    # Somebody else is at it, and doesn't finish.
    redis("SET", LOCK, "another")
    if figure:
        redis("SET", FIGURE, figure, "EX", "3600")
    daemon = launch(upstream)
    until(lambda: redis("ZCARD", "tg:1:{:m}:sidecars") == 1, "the sidecar being published")
    assert expiring(daemon) == {}
